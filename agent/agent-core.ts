/**
 * The agent without its sockets, disks and processes: lease keeper and outbox, and the order in which
 * things happen between them. Everything outside is a port, so that the simulator runs this code.
 *
 * - A result is in the outbox before its lease is FINISHED, and its files go only after its verdict.
 * - A result that has no verdict soon is on disk.
 * - An offer is made again until a verdict comes.
 */
import type { AdvertiseResponse, Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Grant, GrantReply, Result, ResultReply } from '../proto/gen/furrow/work/v1/work.ts';
import type { Clock } from '../kit/clock.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Assignment } from './assignment.ts';
import { Cancellation } from './cancellation.ts';
import {
  LeaseKeeper,
  type AnswerTaken,
  type Fits,
  type Instant,
  type KeeperBeat,
} from './lease-keeper.ts';
import { Outbox, type OutboxOrder, type OutboxStorage } from './outbox.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

/** What runs attempts and owns their files. */
export interface UnitExecutor {
  /**
   * Runs an attempt to its end, processes and uploads included. Never rejects: whatever goes wrong is
   * a failure in the result. Once it is cancelled it ends soon, with `evicted` as its kind, or
   * `infrastructure` when the order's reason is GPU_UNUSABLE.
   */
  execute(
    assignment: Assignment,
    cancellation: Cancellation,
    progressed: (counter: number) => void,
  ): Promise<Result>;
  /** Uploads a result's outputs again. Answers what to offer now: the same, or why it cannot be had. */
  storeAgain(result: Result, missing: readonly string[], signal: AbortSignal): Promise<Result>;
  /** Deletes what is left of an attempt's files. Never rejects. */
  discard(token: Token): Promise<void>;
}

/** The way results take to the coordinator. */
export interface ResultChannel {
  /** Null when no answer came. Never rejects. */
  offer(results: readonly Result[]): Promise<ResultReply | null>;
}

export interface AgentCorePorts {
  readonly farmId: string;
  /** Until a beat's answer says otherwise. */
  readonly leaseTtlMs: number;
  /** As the keeper's. */
  readonly epochSeen?: number;
  readonly epochRose?: (epoch: number) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly fits: Fits;
  readonly executor: UnitExecutor;
  readonly storage: OutboxStorage;
  readonly channel: ResultChannel;
  /** The inventory changed: send a beat soon. */
  readonly changed: () => void;
  /** Something went wrong that only a person can mend; work goes on. */
  readonly complain: (message: string, token: Token) => void;
  /** An attempt that began is over. */
  readonly concluded?: (result: Result, assignment: Assignment) => void;
}

/** Reason of an order to end: the unit's GPU must not be used any more. */
export const GPU_UNUSABLE = 'GPU_UNUSABLE';

/** Most verdicts come within a few milliseconds. */
const SAVE_AFTER_MS = 100;

export class AgentCore {
  readonly #ports: AgentCorePorts;
  readonly #keeper: LeaseKeeper;
  readonly #outbox: Outbox;
  readonly #executions = new Map<TokenKey, Cancellation>();
  readonly #uploads = new AbortController();
  #workPlaneUp = false;
  #cancelTimer: () => void = () => undefined;
  #stopped = false;
  #goesOnSoon = false;
  /** Results that are in the outbox and not on disk. */
  readonly #unsaved = new Map<TokenKey, Result>();
  /** Those that are being written. */
  readonly #saving = new Map<TokenKey, Promise<void>>();
  #cancelSave: (() => void) | undefined;

  constructor(ports: AgentCorePorts) {
    this.#ports = ports;
    this.#keeper = new LeaseKeeper(ports);
    this.#outbox = new Outbox(ports.random);
  }

  /**
   * Takes up the results that an earlier session left, and answers their tokens. Call once, before the
   * first beat.
   */
  async restore(): Promise<readonly Token[]> {
    for (const result of await this.#ports.storage.load()) {
      this.#outbox.put(result, this.#now().monotonicMs);
    }
    const tokens = this.#outbox.tokens();
    this.#keeper.restoreFinished(tokens);
    return tokens;
  }

  /** Null: no answer must be given. */
  handleGrant(grant: Grant): GrantReply | null {
    const reply = this.#keeper.handleGrant(grant);
    if (reply !== null) {
      this.#startWhatMay();
      this.#ports.changed();
    }
    return reply;
  }

  nextBeat(): KeeperBeat {
    return this.#keeper.nextBeat(this.#now());
  }

  beatAnswered(response: AdvertiseResponse): AnswerTaken {
    const before = this.#keeper.size;
    const taken = this.#keeper.beatAnswered(response);
    if (taken.state === 'ignored') return taken;
    for (const { order, token } of taken.orders) {
      if (order === 'end') this.#abort(token, 'CANCELLED', 'the coordinator ended this attempt');
      else void this.#discard(token);
    }
    if (taken.orders.length > 0 || this.#keeper.size < before) this.#ports.changed();
    this.#handBackUnstartable();
    this.#startWhatMay();
    return taken;
  }

  /** Results are offered only while it is up. */
  setWorkPlaneUp(up: boolean): void {
    if (this.#workPlaneUp === up) return;
    this.#workPlaneUp = up;
    if (up) this.#outbox.connected();
    else this.#saveUnsaved();
    this.#ports.changed();
    this.#offerWhatIsDue();
  }

  get workPlaneUp(): boolean {
    return this.#workPlaneUp;
  }

  /** Takes nothing more and hands back what waits; what runs goes on. */
  leave(): void {
    this.#keeper.leave();
    this.#handBackUnstartable();
    this.#ports.changed();
  }

  /**
   * Takes nothing and starts nothing until `open`; what runs goes on. What waits is handed back with the
   * next answered beat: by then the coordinator knows that it need not offer it here again.
   */
  close(reason: string): void {
    this.#keeper.close(reason);
    this.#ports.changed();
  }

  open(): void {
    this.#keeper.open();
    this.#startWhatMay();
    this.#ports.changed();
  }

  /** Ends what runs; its results say `evicted`. */
  evict(why: string): void {
    for (const { token } of this.#keeper.running()) {
      this.#keeper.evicting(token);
      this.#abort(token, 'EVICTED', why);
    }
    this.#ports.changed();
  }

  /** GPUs on which units run, by id. */
  get gpusInUse(): ReadonlySet<string> {
    return new Set(this.#keeper.running().flatMap(({ gpuIds }) => gpuIds));
  }

  /**
   * Ends what runs on GPUs that must not be used, as `infrastructure`, and hands back what waits for them.
   * `unusable`: their ids, each with a line that names it and says why.
   */
  giveUpGpus(unusable: ReadonlyMap<string, string>): void {
    if (unusable.size === 0) return;
    const reasonOf = ({ gpuIds }: Assignment): string | undefined =>
      gpuIds.map((id) => unusable.get(id)).find((reason) => reason !== undefined);
    for (const assignment of this.#keeper.running()) {
      const reason = reasonOf(assignment);
      if (reason === undefined) continue;
      this.#keeper.evicting(assignment.token);
      this.#abort(assignment.token, GPU_UNUSABLE, reason);
      this.#ports.changed();
    }
    for (const assignment of this.#keeper.waiting()) {
      const reason = reasonOf(assignment);
      if (reason !== undefined) this.#handBack(assignment, `not started: ${reason}`);
    }
  }

  /** VRAM that units under way have booked, in bytes, by GPU id. */
  bookedVramBytes(): ReadonlyMap<string, number> {
    const booked = new Map<string, number>();
    for (const { gpuIds, demand } of this.#keeper.underWay()) {
      for (const id of gpuIds) booked.set(id, (booked.get(id) ?? 0) + demand.vramBytes);
    }
    return booked;
  }

  /** Hardware encoder sessions that units under way have booked. */
  bookedEncoderSessions(): number {
    return this.#keeper.underWay().reduce((sum, { demand }) => sum + demand.encoderSessions, 0);
  }

  /** Nothing runs and nothing waits; unreported results may still be there. */
  get quiet(): boolean {
    return this.#keeper.size === this.#outbox.size && this.#executions.size === 0;
  }

  /** Nothing is left to run or to tell. */
  get empty(): boolean {
    return this.#keeper.size === 0;
  }

  get unreported(): number {
    return this.#outbox.size;
  }

  /** No more offers and uploads; what has no verdict goes to the disk. What runs is not ended: see `evict`. */
  stop(): void {
    this.#stopped = true;
    this.#saveUnsaved();
    this.#cancelTimer();
    this.#uploads.abort(new FurrowError('aborted', 'SHUTDOWN', 'the agent is stopping'));
  }

  #startWhatMay(): void {
    for (;;) {
      const assignment = this.#keeper.startNext(this.#now());
      if (assignment === null) return;
      void this.#run(assignment);
      this.#ports.changed();
    }
  }

  async #run(assignment: Assignment): Promise<void> {
    const { token } = assignment;
    const key = tokenKey(token);
    const cancellation = new Cancellation();
    this.#executions.set(key, cancellation);
    const result = await this.#ports.executor.execute(assignment, cancellation, (counter) =>
      this.#keeper.progressed(token, counter),
    );
    this.#executions.delete(key);
    this.#ports.concluded?.(result, assignment);
    this.#conclude(result, token);
    this.#goOnSoon();
  }

  /** Once for all attempts that end together: their results go in one offer. */
  #goOnSoon(): void {
    if (this.#goesOnSoon) return;
    this.#goesOnSoon = true;
    queueMicrotask(() => {
      this.#goesOnSoon = false;
      this.#offerWhatIsDue();
      this.#startWhatMay();
    });
  }

  /** The attempt is over: its result is told and, unless that is answered soon, kept. */
  #conclude(result: Result, token: Token): void {
    if (this.#keeper.isWanted(token)) {
      this.#outbox.put(result, this.#now().monotonicMs);
      this.#keeper.finished(token);
      this.#unsaved.set(tokenKey(token), result);
      this.#saveSoon();
      this.#goOnSoon();
    } else {
      this.#keeper.gone(token);
      void this.#discard(token);
    }
    this.#ports.changed();
  }

  /**
   * A result whose verdict comes at once is never written: that this process dies in these milliseconds
   * is as if it had died in those before.
   */
  #saveSoon(): void {
    if (!this.#workPlaneUp || this.#stopped) this.#saveUnsaved();
    else this.#cancelSave ??= this.#ports.clock.after(SAVE_AFTER_MS, () => this.#saveUnsaved());
  }

  #saveUnsaved(): void {
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    const unsaved = [...this.#unsaved.values()];
    this.#unsaved.clear();
    for (const result of unsaved) {
      const token = result.token as Token;
      const key = tokenKey(token);
      const saving = this.#save(result, token).then(() => void this.#saving.delete(key));
      this.#saving.set(key, saving);
    }
  }

  async #save(result: Result, token: Token): Promise<void> {
    try {
      await this.#ports.storage.save(result);
    } catch (error) {
      // Told from memory, then: it is lost only if this process dies before the verdict.
      this.#ports.complain(`the result cannot be written to disk: ${messageOf(error)}`, token);
    }
  }

  /** Deletes result and files; the inventory has forgotten the lease, or is about to. */
  async #discard(token: Token): Promise<void> {
    this.#outbox.drop(token);
    const key = tokenKey(token);
    const wasNeverSaved = this.#unsaved.delete(key);
    await this.#saving.get(key);
    try {
      if (!wasNeverSaved) await this.#ports.storage.remove(token);
    } catch (error) {
      this.#ports.complain(`an old result cannot be deleted: ${messageOf(error)}`, token);
    }
    await this.#ports.executor.discard(token);
  }

  #abort(token: Token, reason: string, message: string): void {
    this.#executions.get(tokenKey(token))?.abort(new FurrowError('aborted', reason, message));
  }

  #handBackUnstartable(): void {
    for (const assignment of this.#keeper.unstartable()) {
      this.#handBack(assignment, 'not started: the agent takes no more work');
    }
  }

  /** A lease that waits and will not begin here. */
  #handBack({ token, jobId, step, unit }: Assignment, message: string): void {
    this.#keeper.evicting(token);
    const atMs = this.#ports.clock.wallMs();
    const result: Result = {
      token,
      jobId,
      step,
      unit,
      outcome: { $case: 'failure', value: { kind: 'evicted', message } },
      startedAtMs: atMs,
      endedAtMs: atMs,
      peakRamBytes: 0,
    };
    this.#conclude(result, token);
  }

  #offerWhatIsDue(): void {
    this.#cancelTimer();
    if (this.#stopped || !this.#workPlaneUp) return;
    const nowMs = this.#now().monotonicMs;
    for (;;) {
      const batch = this.#outbox.nextBatch(nowMs);
      if (batch === null) break;
      void this.#offer(batch);
    }
    const dueMs = this.#outbox.nextDueMs();
    if (dueMs === null) return;
    // A millisecond at least: a timer that fires a moment early must not spin.
    const delayMs = Math.max(1, dueMs - nowMs);
    this.#cancelTimer = this.#ports.clock.after(delayMs, () => this.#offerWhatIsDue());
  }

  async #offer(batch: readonly Result[]): Promise<void> {
    const reply = await this.#ports.channel.offer(batch);
    const believed =
      reply !== null && this.#keeper.isCurrent(reply.farmId, reply.epoch) ? reply : null;
    for (const order of this.#outbox.settle(batch, believed, this.#now().monotonicMs)) {
      this.#obey(order);
    }
    this.#offerWhatIsDue();
  }

  #obey(order: OutboxOrder): void {
    switch (order.order) {
      case 'close':
        this.#keeper.gone(order.token);
        this.#ports.changed();
        void this.#discard(order.token);
        return;
      case 'store-again':
        void this.#storeAgain(order.result, order.missing);
        return;
    }
  }

  async #storeAgain(result: Result, missing: readonly string[]): Promise<void> {
    const token = result.token as Token;
    const outcome = await this.#ports.executor.storeAgain(result, missing, this.#uploads.signal);
    if (this.#stopped || !this.#outbox.has(token)) return;
    const nowMs = this.#now().monotonicMs;
    if (outcome === result) {
      this.#outbox.storedAgain(token, nowMs);
    } else {
      await this.#save(outcome, token);
      if (this.#outbox.has(token)) this.#outbox.put(outcome, nowMs);
    }
    this.#offerWhatIsDue();
  }

  #now(): Instant {
    const { clock } = this.#ports;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }
}
