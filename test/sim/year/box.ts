/**
 * One machine of a simulated year with its agent, as far as the coordinator hears of it: beats with capacity
 * and inventory, answers to grants, results. What runs there is held against what it has, whatever is booked.
 */
import { whyNotFitting } from '../../../agent/fits.ts';
import type { GrantOrder } from '../../../coordinator/domain/assignment.ts';
import type {
  GrantAnswered,
  GrantRefusal,
  ReportedOutcome,
  ReportedResult,
} from '../../../coordinator/domain/commands.ts';
import {
  book,
  type Booking,
  type Capacity,
  emptyBooking,
} from '../../../coordinator/domain/demand.ts';
import type { HeldLease } from '../../../coordinator/domain/liveness.ts';
import { jobNumberOf } from '../../../coordinator/domain/farm.ts';
import type { Growth } from '../../../coordinator/domain/size.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import { capacityFromWire } from '../../../coordinator/grpc/wire.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { Capacity as WireCapacity } from '../../../proto/gen/furrow/v1/agent_service.ts';
import type { Prng } from '../prng.ts';
import type { Timeline } from '../timeline.ts';
import { Violation } from '../violation.ts';
import { Attempt, failure, fateOf, type Fate, type Held } from './attempt.ts';
import type { BoxTraits } from './box-kinds.ts';
import type { UnitTruth } from './unit-truth.ts';
import type { YearCoordinator } from './year-coordinator.ts';

/** What is around a machine. */
export interface Site {
  readonly timeline: Timeline;
  /** Undefined while none can be reached by anybody. */
  readonly coordinator: () => YearCoordinator | undefined;
  readonly isNatsUp: () => boolean;
  readonly truthOf: (job: number, step: string, unit: number) => UnitTruth;
  readonly succeeded: (token: Token) => void;
  readonly fail: (error: unknown) => void;
}

/** What others take of the machine. */
export interface Foreign {
  readonly ramBytes: number;
  /** On each GPU. */
  readonly vramBytes: number;
}

const NOBODY: Foreign = { ramBytes: 0, vramBytes: 0 };
/** A closed or dead connection is noticed after so long. */
const KEEPALIVE_MS = 30_000;
const RECONNECT_MS = 5_000;
const SHUT_DOWN_MS = 10_000;

export class Box {
  readonly id: string;
  readonly traits: BoxTraits;
  readonly #site: Site;
  readonly #prng: Prng;
  readonly #attempts = new Map<Token, Attempt>();
  /** Finished, and not yet answered. */
  readonly #results = new Map<Token, ReportedResult>();
  #power: 'on' | 'asleep' | 'off' = 'off';
  #isOnline = true;
  #sessions = 0;
  #beats = 0;
  #startedAtMs = 0;
  #grantsHandled = 0;
  #releasedGrant = 0;
  #isLeaving = false;
  /** Whose answer is awaited: one that was killed gives none. */
  #reportsTo: YearCoordinator | undefined;
  #enrolsWith: YearCoordinator | undefined;
  /** Who knows of this session; another run of the coordinator has to be told first. */
  #enrolledWith: YearCoordinator | undefined;
  #saidCapacity: Capacity | undefined;
  /** As the agent sees it, and as the coordinator is told. */
  #capacity: WireCapacity;
  #offered: Capacity;
  #foreign = NOBODY;
  /** Why its owner lets it take nothing. */
  #closedReason: string | undefined;
  #isDiskFull = false;
  /** `seen`: the agent knows that the GPU is gone. */
  #lostGpus: 'none' | 'unseen' | 'seen' = 'none';

  constructor(id: string, traits: BoxTraits, site: Site, prng: Prng) {
    this.id = id;
    this.traits = traits;
    this.#site = site;
    this.#prng = prng;
    this.#capacity = traits.capacity;
    this.#offered = capacityFromWire(traits.capacity);
  }

  get power(): 'on' | 'asleep' | 'off' {
    return this.#power;
  }

  /** As it says. */
  get capacity(): Capacity {
    return this.#offered;
  }

  /** Whether it could run what fits it, seen from outside. */
  get isSound(): boolean {
    const isThere = this.#power === 'on' && this.#isOnline && !this.#isLeaving;
    const isOpen = isThere && this.#closedReason === undefined;
    return isOpen && !this.#isDiskFull && this.#lostGpus === 'none';
  }

  /** What really runs here, as it was granted. */
  get booking(): Booking {
    const booking = emptyBooking();
    for (const { held } of this.#attempts.values()) book(booking, held.demand, held.gpuIds);
    return booking;
  }

  // --- power and network --------------------------------------------------------------------

  /** The agent's program starts: a new session. What it had finished is still on its disk. */
  boot(): void {
    if (this.#power !== 'off') return;
    this.#power = 'on';
    this.#sessions += 1;
    this.#beats = 0;
    this.#startedAtMs = this.#site.timeline.nowMs;
    this.#grantsHandled = 0;
    this.#releasedGrant = 0;
    this.#isLeaving = false;
    this.#lostGpus = 'none';
    this.#changed();
    this.connect();
  }

  /** Power is gone, or the kernel: nothing is said. */
  crash(): void {
    if (this.#power === 'off') return;
    for (const attempt of this.#attempts.values()) attempt.end();
    this.#attempts.clear();
    this.#power = 'off';
    this.#disconnect();
  }

  /** Units are handed back, and the agent says that it goes. */
  shutDown(): void {
    if (this.#power !== 'on') return;
    this.#isLeaving = true;
    this.evict('the machine shuts down');
    this.beat();
    this.#site.timeline.after(SHUT_DOWN_MS, `${this.id} is off`, () => this.crash());
  }

  sleep(): void {
    if (this.#power !== 'on') return;
    this.#power = 'asleep';
    for (const attempt of this.#attempts.values()) attempt.pause();
    this.#disconnect();
  }

  wake(): void {
    if (this.#power !== 'asleep') return;
    this.#power = 'on';
    for (const attempt of this.#attempts.values()) attempt.resume();
    this.connect();
  }

  setOnline(isOnline: boolean): void {
    if (this.#isOnline === isOnline) return;
    this.#isOnline = isOnline;
    if (isOnline) this.connect();
    else this.#disconnect();
  }

  #disconnect(): void {
    const { timeline, coordinator } = this.#site;
    const [session, knower] = [this.#session, this.#enrolledWith];
    this.#enrolledWith = undefined;
    if (knower === undefined) return;
    timeline.after(KEEPALIVE_MS, `${this.id} is not heard`, () => {
      const isBack = this.#enrolledWith === knower && this.#session === session;
      if (isBack || coordinator() !== knower) return;
      void knower.ask({ type: 'StreamClosed', agentId: this.id, session });
    });
  }

  /** Within the agent's longest pause between tries. */
  connect(): void {
    const delayMs = this.#prng.between(0.1, 1) * RECONNECT_MS;
    this.#site.timeline.after(delayMs, `${this.id} connects`, () => this.beat());
  }

  // --- what befalls it ------------------------------------------------------------------------

  /** Its owner wants it alone: what runs is handed back. */
  close(reason: string): void {
    this.#closedReason = reason;
    this.#changed();
    this.evict(reason);
    this.beat();
  }

  /** Its owner is gone. */
  open(): void {
    this.#closedReason = undefined;
    this.setForeign(undefined);
  }

  /** Somebody else takes so much of it from now on. */
  setForeign(foreign: Foreign | undefined): void {
    this.#foreign = foreign ?? NOBODY;
    this.#changed();
    this.#squeeze();
    this.beat();
  }

  setDiskFull(isFull: boolean): void {
    this.#isDiskFull = isFull;
    if (isFull) this.#endAll(failure('infrastructure', 'no space left on device'));
  }

  /** Until the next boot. */
  loseDriver(isSeen: boolean): void {
    if (this.#power !== 'on') return;
    this.#lostGpus = isSeen ? 'seen' : 'unseen';
    this.#endAll(failure('infrastructure', 'the GPU is lost'), ({ gpuIds }) => gpuIds.length > 0);
    this.#changed();
    this.beat();
  }

  evict(reason: string): void {
    this.#endAll(failure('evicted', reason));
  }

  #changed(): void {
    const { capacity } = this.traits;
    const { ramBytes, vramBytes } = this.#foreign;
    const gpus = this.#lostGpus === 'seen' ? [] : capacity.gpus;
    this.#capacity = {
      ...capacity,
      closedReason: this.#closedReason,
      ramAvailableBytes: Math.max(0, capacity.ramTotalBytes - ramBytes),
      gpus: gpus.map((gpu) => {
        const vramForeignBytes = Math.min(gpu.vramTotalBytes, vramBytes);
        return { ...gpu, vramForeignBytes, vramFreeBytes: gpu.vramTotalBytes - vramForeignBytes };
      }),
    };
    this.#offered = capacityFromWire(this.#capacity);
  }

  /** Where memory is short the largest goes first. */
  #squeeze(): void {
    const { ramAvailableBytes, gpus } = this.#capacity;
    const running = (): Attempt[] => [...this.#attempts.values()];
    const ram = ({ held }: Attempt): number => held.truth.ramBytes;
    this.#endLargest(running, ram, ramAvailableBytes, 'out-of-memory');
    for (const { id, vramTotalBytes, vramForeignBytes } of gpus) {
      const onIt = (): Attempt[] => running().filter(({ held }) => held.gpuIds.includes(id));
      const vram = ({ held }: Attempt): number => held.truth.vramBytes;
      this.#endLargest(onIt, vram, vramTotalBytes - vramForeignBytes, 'out-of-vram');
    }
  }

  #endLargest(
    attempts: () => readonly Attempt[],
    bytesOf: (attempt: Attempt) => number,
    thereBytes: number,
    kind: 'out-of-memory' | 'out-of-vram',
  ): void {
    for (;;) {
      const all = attempts();
      const [largest] = all.toSorted((a, b) => bytesOf(b) - bytesOf(a));
      const sum = all.reduce((total, attempt) => total + bytesOf(attempt), 0);
      if (largest === undefined || sum <= thereBytes) return;
      this.#end(largest, failure(kind, 'others took the memory'));
    }
  }

  // --- units ----------------------------------------------------------------------------------

  /** What the agent answers to a grant, or that it does not. */
  grant(order: GrantOrder, demandOf: (token: Token) => Held['demand']): GrantAnswered['answer'] {
    if (this.#power === 'off' || order.session !== this.#session) return { state: 'no-responders' };
    if (this.#power === 'asleep' || !this.#isOnline || !this.#site.isNatsUp()) {
      return { state: 'unknown' };
    }
    const isVoid = order.number <= this.#releasedGrant;
    this.#grantsHandled = Math.max(this.#grantsHandled, order.number);
    const refused: GrantRefusal[] = [];
    for (const { jobId, spec, leases } of order.steps) {
      const job = jobNumberOf(jobId) ?? 0;
      for (const { token, unit, gpuIds } of leases) {
        const truth = this.#site.truthOf(job, spec.name, unit);
        const held = { token, job, spec, unit, demand: demandOf(token), gpuIds, truth };
        const reason = isVoid ? 'the grant is void' : this.#whyNot(held);
        if (reason === null) this.#start(held);
        else refused.push({ token, reason });
      }
    }
    this.beat();
    return { state: 'answered', refused };
  }

  #whyNot({ demand, gpuIds }: Held): string | null {
    const beside = [...this.#attempts.values()].map(({ held }) => held.demand);
    return whyNotFitting(demand, beside, gpuIds, this.#capacity);
  }

  #start(held: Held): void {
    const attempt = new Attempt(held, this.#site.timeline);
    this.#attempts.set(held.token, attempt);
    this.#checkRoom();
    const { speed, badOutput } = this.traits;
    const isGpuLost = this.#lostGpus !== 'none' && held.gpuIds.length > 0;
    const on = { speed, badOutput, isGpuLost, isDiskFull: this.#isDiskFull };
    this.#await(attempt, fateOf(held, on, this.#prng));
  }

  #await(attempt: Attempt, fate: Fate): void {
    attempt.after(fate.afterMs, () => {
      switch (fate.state) {
        case 'ends':
          this.#end(attempt, fate.outcome);
          return this.#report();
        case 'hangs':
          return attempt.hang();
        case 'crashes':
          this.#site.timeline.after(this.#bootMs(), `${this.id} boots`, () => this.boot());
          return this.crash();
        case 'peaks':
          this.#await(attempt, fate.next);
          this.#squeeze();
          return this.#report();
      }
    });
  }

  #bootMs(): number {
    return this.#prng.between(2, 8) * 60_000;
  }

  #endAll(outcome: ReportedOutcome, which: (held: Held) => boolean = () => true): void {
    for (const attempt of this.#attempts.values()) {
      if (which(attempt.held)) this.#end(attempt, outcome);
    }
    this.#report();
  }

  #end(attempt: Attempt, outcome: ReportedOutcome): void {
    const { held, startedMs } = attempt;
    const { token, job, spec, unit } = held;
    attempt.end();
    if (!this.#attempts.delete(token)) return;
    if (outcome.state === 'succeeded') this.#site.succeeded(token);
    const runMs = this.#site.timeline.nowMs - startedMs;
    const peak = peakOf(held, outcome);
    const result = { token, job, step: spec.name, unit, outcome, runMs, peak, missingBlobs: [] };
    this.#results.set(token, result);
  }

  /** The coordinator says that these are not wanted any more. */
  stop(tokens: readonly Token[]): void {
    if (this.#power !== 'on' || !this.#isOnline) return;
    for (const token of tokens) {
      this.#attempts.get(token)?.end();
      this.#attempts.delete(token);
    }
    this.beat();
  }

  /** Whatever is booked: this is what runs, at what it was granted. */
  #checkRoom(): void {
    const { cpuMillis, ramBytes, encoderSessions, vramBytes } = this.booking;
    const { capacity } = this.traits;
    const isOver =
      cpuMillis > capacity.cpuMillis ||
      ramBytes > capacity.ramTotalBytes ||
      encoderSessions > capacity.encoderSessions ||
      capacity.gpus.some(({ id, vramTotalBytes }) => (vramBytes.get(id) ?? 0) > vramTotalBytes);
    if (!isOver) return;
    const sums = JSON.stringify({ cpuMillis, ramBytes, encoderSessions, vram: [...vramBytes] });
    this.#site.fail(new Violation('overbooked', `${this.id} runs ${sums}`));
  }

  // --- what it says ---------------------------------------------------------------------------

  get #session(): string {
    return `${this.id}-${this.#sessions}`;
  }

  /** Enrols first where it is not known; says its capacity where that changed. */
  beat(): void {
    const coordinator = this.#site.coordinator();
    if (coordinator === undefined || this.#power !== 'on' || !this.#isOnline) return;
    if (this.#enrolledWith !== coordinator) {
      void this.#enrol(coordinator);
      return;
    }
    const isNew = this.#saidCapacity !== this.#offered;
    this.#beats += 1;
    try {
      const { releasedGrant, probeAgain } = coordinator.beat({
        agentId: this.id,
        session: this.#session,
        sessionStartedAtMs: this.#startedAtMs,
        beat: this.#beats,
        machineFingerprint: this.id,
        capacity: isNew ? this.#offered : undefined,
        inventory: this.#inventory(),
        grantsHandled: this.#grantsHandled,
        workPlaneUp: this.#site.isNatsUp(),
        leaving: this.#isLeaving,
      });
      this.#saidCapacity = this.#offered;
      this.#releasedGrant = Math.max(this.#releasedGrant, releasedGrant);
      this.#grantsHandled = Math.max(this.#grantsHandled, releasedGrant);
      if (probeAgain) this.#probe();
    } catch (error) {
      if (!(error instanceof FurrowError)) throw error;
      this.#enrolledWith = undefined;
    }
    this.#report();
  }

  /** What it can do is tried out: mostly that finds a GPU that does not answer. */
  #probe(): void {
    if (this.#lostGpus !== 'unseen' || this.#prng.chance(0.2)) return;
    this.#lostGpus = 'seen';
    this.#changed();
  }

  #inventory(): HeldLease[] {
    const inventory: HeldLease[] = [];
    for (const [token, { progress }] of this.#attempts) {
      inventory.push({ token, state: 'running', progress });
    }
    for (const token of this.#results.keys()) {
      inventory.push({ token, state: 'finished', progress: 0 });
    }
    return inventory;
  }

  async #enrol(coordinator: YearCoordinator): Promise<void> {
    if (this.#enrolsWith === coordinator) return;
    this.#enrolsWith = coordinator;
    const session = this.#session;
    const answer = await coordinator.ask({
      type: 'EnrolAgent',
      agentId: this.id,
      name: this.id,
      version: '1.0.0',
      coordinatorVersion: '1.0.0',
      machineFingerprint: this.id,
    });
    if (this.#enrolsWith === coordinator) this.#enrolsWith = undefined;
    if (answer === undefined || answer.kind === 'refused' || session !== this.#session) return;
    this.#enrolledWith = coordinator;
    this.#saidCapacity = undefined;
    this.beat();
  }

  /** One batch at a time; what is not answered is offered again with a later beat. */
  #report(): void {
    const coordinator = this.#site.coordinator();
    const isHeard = this.#power === 'on' && this.#isOnline && this.#site.isNatsUp();
    if (coordinator === undefined || !isHeard || this.#reportsTo === coordinator) return;
    if (this.#results.size > 0) void this.#offer(coordinator, [...this.#results.values()]);
  }

  async #offer(coordinator: YearCoordinator, results: readonly ReportedResult[]): Promise<void> {
    this.#reportsTo = coordinator;
    const session = this.#session;
    const answer = await coordinator.ask({
      type: 'ReportResults',
      agentId: this.id,
      session,
      results,
    });
    if (this.#reportsTo === coordinator) this.#reportsTo = undefined;
    if (answer?.kind !== 'verdicts') return;
    const answered = results.filter((_, index) => answer.verdicts[index]?.kind !== 'none');
    for (const { token } of answered) this.#results.delete(token);
    // What was finished meanwhile.
    if (answered.length > 0) this.#report();
  }
}

/** What an attempt was seen to take: one that is held to its RAM takes no more than that. */
function peakOf({ truth, demand }: Held, outcome: ReportedOutcome): Growth {
  const isShort = outcome.state === 'failed' && outcome.kind === 'out-of-memory';
  const ramBytes = isShort ? Math.min(truth.ramBytes, demand.ramBytes) : truth.ramBytes;
  return { ramBytes: Math.round(ramBytes), vramBytes: Math.round(truth.vramBytes) };
}
