/**
 * One agent: a machine with its processes and its disk, which outlive the program, and runs of the
 * program, each the real AgentCore with a session and a work plane in front of it that behave like the
 * real ones.
 */
import { AgentCore, type UnitExecutor } from '../../agent/agent-core.ts';
import type { Assignment } from '../../agent/assignment.ts';
import { whyNotFitting } from '../../agent/fits.ts';
import type { OutboxStorage } from '../../agent/outbox.ts';
import { tokenKey, type TokenKey } from '../../agent/token-key.ts';
import { tokenFromWire } from '../../coordinator/grpc/wire.ts';
import { grantSubject, RESULT_SUBJECTS } from '../../proto/subjects.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
  Capacity,
  Token,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { File } from '../../proto/gen/furrow/v1/step.ts';
import type {
  Grant,
  GrantReply,
  Result,
  ResultBatch,
  ResultReply,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { NATS, type Network, type SimStream } from './network.ts';
import type { Prng } from './prng.ts';
import { SimProcess, type ClockFault } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { Witness } from './witness.ts';

/** How units behave; changed when the faults begin and end. */
export interface UnitWeather {
  failure: number;
  hang: number;
  mostRunMs: number;
  diskFailure: number;
  /** Longest time that a write takes to reach an agent's disk. */
  mostDiskMs: number;
  /** Chance that an agent refuses a lease: its owner has started a game. */
  refusal: number;
  /** Chance that an upload is taken for done and is not. */
  uploadLoss: number;
  /** Chance that a result cannot be accepted as it is. */
  badResult: number;
}

export interface SimAgentOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly witness: Witness;
  readonly prng: Prng;
  readonly agentId: string;
  readonly capacity: Capacity;
  readonly clockFault: ClockFault;
  readonly units: UnitWeather;
  readonly farmId: string;
  readonly leaseTtlMs: number;
  /** Where an agent that looks for the coordinator finds one now. */
  readonly findCoordinator: () => SimCoordinator | undefined;
  readonly fail: (error: unknown) => void;
}

/** What stands on the disk; `flushed` survives a power cut. */
interface Stored {
  readonly result: Result;
  flushed: boolean;
}

const HEARTBEAT_MS = 3_000;
const CHANGE_PAUSE_MS = 50;
const SILENCE_LIMIT_MS = 10_000;
const RESULT_TIMEOUT_MS = 15_000;
const FIRST_RECONNECT_MS = 200;
const LONGEST_RECONNECT_MS = 5_000;
const CALL_TIMEOUT_MS = 5_000;
const NATS_CHECK_MS = 2_000;
const PROGRESS_MS = 3_000;
const UPLOAD_TIMEOUT_MS = 10_000;
const REMEMBERED = 30;

export class SimAgent {
  readonly #options: SimAgentOptions;
  readonly #disk = new Map<TokenKey, Stored>();
  /** Process groups on the machine, ours or left over from a run before. */
  readonly #running = new Set<Token>();
  #run: AgentRun | undefined;
  #runs = 0;
  /** Some of what it has offered. */
  readonly #offered: ResultBatch[] = [];

  constructor(options: SimAgentOptions) {
    this.#options = options;
  }

  get agentId(): string {
    return this.#options.agentId;
  }

  get process(): SimProcess | undefined {
    return this.#run?.process;
  }

  get isIdle(): boolean {
    return this.#run?.isIdle === true;
  }

  /** Starts the program. What an earlier run left running is ended before it says a word. */
  start(): void {
    if (this.#run?.process.isAlive === true) return;
    const { timeline, agentId, clockFault, prng, witness } = this.#options;
    this.#runs += 1;
    const process = new SimProcess(timeline, `${agentId}.${this.#runs}`, clockFault);
    for (const token of this.#running) witness.onReleased(agentId, tokenFromWire(token));
    this.#running.clear();
    this.#run = new AgentRun(this.#options, process, prng.hex(16), {
      storage: this.#storage(process),
      running: this.#running,
      offered: (batch) => this.#remember(batch),
    });
  }

  #remember(batch: ResultBatch): void {
    const at =
      this.#offered.length < REMEMBERED ? this.#offered.length : batch.results.length % REMEMBERED;
    this.#offered[at] = batch;
  }

  /** kill -9: its units run on, without anybody. */
  kill(): void {
    this.#run?.process.kill();
    this.#options.witness.onProgramEnded(this.agentId);
  }

  /** Power cut: units end, and what the disk had not flushed is gone or not, as it happens. */
  cutPower(): void {
    const { prng, witness, agentId } = this.#options;
    this.kill();
    for (const token of this.#running) witness.onReleased(agentId, tokenFromWire(token));
    this.#running.clear();
    for (const [key, stored] of this.#disk) {
      if (!stored.flushed && prng.chance(0.5)) this.#disk.delete(key);
    }
  }

  leave(): void {
    this.#run?.leave();
  }

  /** Something it said long ago arrives again, as it was or garbled by `garble`. */
  offerAgain(garble: (result: Result) => Result): void {
    const { network, prng, agentId } = this.#options;
    const batch = prng.pickAny(this.#offered);
    const process = this.#run?.process;
    if (batch === undefined || process?.isAlive !== true) return;
    const results = batch.results.map(garble);
    const payload = { ...batch, results };
    network.request(agentId, process, RESULT_SUBJECTS, payload, RESULT_TIMEOUT_MS, () => {});
  }

  breakStream(): void {
    this.#run?.breakStream();
  }

  #storage(process: SimProcess): OutboxStorage {
    const { prng, units, witness, agentId } = this.#options;
    const soon = (run: () => void): void => {
      process.after(prng.longTailed(0.1, units.mostDiskMs), 'disk', run);
    };
    return {
      load: () => Promise.resolve([...this.#disk.values()].map(({ result }) => result)),
      save: (result) =>
        new Promise((resolve, reject) => {
          // One that never ran is handed back with a result, too.
          witness.onReleased(agentId, tokenFromWire(tokenOf(result)));
          const stored: Stored = { result, flushed: false };
          const fails = prng.chance(units.diskFailure);
          if (!fails) this.#disk.set(tokenKey(tokenOf(result)), stored);
          soon(() => {
            stored.flushed = true;
            if (fails) reject(new Error('no space left on the simulated disk'));
            else resolve();
          });
        }),
      remove: (token) =>
        new Promise((resolve) => {
          this.#disk.delete(tokenKey(token));
          soon(resolve);
        }),
    };
  }
}

function tokenOf(result: Result): Token {
  if (result.token === undefined) throw new Error('a result without a token');
  return result.token;
}

interface MachineSide {
  readonly storage: OutboxStorage;
  readonly running: Set<Token>;
  readonly offered: (batch: ResultBatch) => void;
}

/** One run of the program, from start to its end: one session. */
class AgentRun {
  readonly process: SimProcess;
  readonly #options: SimAgentOptions;
  readonly #session: string;
  readonly #machine: MachineSide;
  readonly #core: AgentCore;
  readonly #grantsSeen = new Set<number>();
  readonly #startedAtMs: number;
  #stream: SimStream | undefined;
  #cancelBeat: () => void = () => {};
  #isBeatSoon = false;
  #lastSentMs = -Infinity;
  #oldestUnansweredMs: number | undefined;
  #pauseMs = FIRST_RECONNECT_MS;
  #saidCapacity = false;
  #natsDownSinceMs: number | undefined;
  #subscribedAt: SimProcess | undefined;

  constructor(
    options: SimAgentOptions,
    process: SimProcess,
    session: string,
    machine: MachineSide,
  ) {
    this.#options = options;
    this.process = process;
    this.#session = session;
    this.#startedAtMs = process.clock.wallMs();
    this.#machine = machine;
    const { capacity, prng, farmId, leaseTtlMs, units } = options;
    options.witness.onSession(options.agentId, session);
    this.#core = new AgentCore({
      farmId,
      leaseTtlMs,
      clock: process.clock,
      random: () => prng.next(),
      fits: (demand, beside, gpuIds) =>
        prng.chance(units.refusal)
          ? 'simulated: its owner plays'
          : whyNotFitting(demand, beside, gpuIds, capacity),
      executor: this.#executor(),
      storage: machine.storage,
      channel: { offer: (results) => this.#offer(results) },
      changed: () => this.#beatSoon(),
      complain: () => {},
    });
    void this.#core.restore().then(() => {
      this.#connect();
      this.#checkNats();
    });
  }

  get isIdle(): boolean {
    return this.process.isRunning && this.#core.empty;
  }

  leave(): void {
    this.#core.leave();
  }

  // --- control plane, as agent/session.ts does it ---------------------------------------------

  #connect(): void {
    const { network, agentId, findCoordinator } = this.#options;
    const coordinator = findCoordinator();
    if (coordinator === undefined || !network.isOpen(agentId, coordinator.machine)) {
      return this.#reconnectLater();
    }
    let isOpen = true;
    const giveUp = this.process.after(CALL_TIMEOUT_MS, 'enrolment times out', () => {
      isOpen = false;
      this.#reconnectLater();
    });
    network.send(agentId, coordinator.machine, coordinator.process, 'enrol', () => {
      const fingerprint = `machine-of-${agentId}`;
      const enrolment = { agentId, name: agentId, version: '1', machineFingerprint: fingerprint };
      void coordinator.call({ type: 'EnrolAgent', ...enrolment }).then((answer) => {
        if (answer === undefined || answer.kind === 'refused') return;
        network.send(coordinator.machine, agentId, this.process, 'enrolled', () => {
          if (!isOpen) return;
          isOpen = false;
          giveUp();
          this.#openStream(coordinator);
        });
      });
    });
  }

  #reconnectLater(): void {
    const { prng } = this.#options;
    const pauseMs = this.#pauseMs * prng.between(0.5, 1);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RECONNECT_MS);
    this.process.clock.after(pauseMs, () => this.#connect());
  }

  #openStream(coordinator: SimCoordinator): void {
    const { network, agentId } = this.#options;
    const stream: SimStream = network.connect(
      {
        machine: agentId,
        process: this.process,
        onMessage: (message) => this.#answered(stream, message as AdvertiseResponse),
        onClosed: () => this.#lost(stream),
      },
      {
        machine: coordinator.machine,
        process: coordinator.process,
        onMessage: (message) => coordinator.onBeat(stream, 1, message as AdvertiseRequest),
        onClosed: () => coordinator.onStreamClosed(stream, agentId),
      },
    );
    this.#stream = stream;
    this.#saidCapacity = false;
    this.#oldestUnansweredMs = undefined;
    this.#beat();
  }

  #lost(stream: SimStream): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#cancelBeat();
    this.#reconnectLater();
  }

  /** The owner of the machine, or chance, breaks the connection. */
  breakStream(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    stream.close(0);
    this.#lost(stream);
  }

  #beatSoon(): void {
    if (this.#isBeatSoon || this.#stream === undefined) return;
    this.#isBeatSoon = true;
    const nowMs = this.process.clock.monotonicMs();
    this.#scheduleBeat(Math.max(0, this.#lastSentMs + CHANGE_PAUSE_MS - nowMs));
  }

  #scheduleBeat(delayMs: number): void {
    this.#cancelBeat();
    this.#cancelBeat = this.process.clock.after(delayMs, () => this.#beat());
  }

  #beat(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const nowMs = this.process.clock.monotonicMs();
    const silentMs = nowMs - (this.#oldestUnansweredMs ?? nowMs);
    if (silentMs > SILENCE_LIMIT_MS) return this.breakStream();
    const { agentId, capacity, prng } = this.#options;
    this.#isBeatSoon = false;
    this.#lastSentMs = nowMs;
    this.#oldestUnansweredMs ??= nowMs;
    const request: AdvertiseRequest = {
      agentId,
      session: this.#session,
      machineFingerprint: `machine-of-${agentId}`,
      name: agentId,
      capacity: this.#saidCapacity ? undefined : capacity,
      workPlaneUp: this.#core.workPlaneUp,
      sessionStartedAtMs: this.#startedAtMs,
      ...this.#core.nextBeat(),
    };
    this.#saidCapacity = true;
    stream.send(0, request);
    this.#scheduleBeat(HEARTBEAT_MS * prng.between(0.9, 1.1));
  }

  #answered(stream: SimStream, response: AdvertiseResponse): void {
    if (this.#stream !== stream) return;
    this.#pauseMs = FIRST_RECONNECT_MS;
    this.#oldestUnansweredMs = undefined;
    this.#core.beatAnswered(response);
  }

  // --- work plane, as agent/work-plane.ts does it ---------------------------------------------

  /** The client library's pings: down is noticed after a while, up at once. */
  #checkNats(): void {
    const { network, agentId } = this.#options;
    const isUp = network.nats.isRunning && network.isOpen(agentId, NATS);
    const nowMs = this.process.clock.monotonicMs();
    this.#natsDownSinceMs = isUp ? undefined : (this.#natsDownSinceMs ?? nowMs);
    if (isUp) {
      this.#subscribe();
      this.#core.setWorkPlaneUp(true);
    } else if (nowMs - (this.#natsDownSinceMs ?? nowMs) > 2 * NATS_CHECK_MS) {
      this.#core.setWorkPlaneUp(false);
    }
    this.process.clock.after(NATS_CHECK_MS, () => this.#checkNats());
  }

  /** Once for each run of nats-server: it forgets its clients. */
  #subscribe(): void {
    const { network, agentId } = this.#options;
    if (this.#subscribedAt === network.nats) return;
    this.#subscribedAt = network.nats;
    const subject = grantSubject(agentId, this.#session);
    network.subscribe(subject, agentId, this.process, (payload, reply) => {
      const answer = this.#onGrant(payload as Grant);
      if (answer !== null) reply(answer);
    });
  }

  #onGrant(grant: Grant): GrantReply | null {
    const { witness, agentId, capacity, fail } = this.#options;
    // What starts in the same moment is told to the witness by the executor: hold it back until then.
    const leases = grant.steps.flatMap((share) =>
      share.leases.map((lease) => ({ lease, demand: share.demand })),
    );
    const reply = this.#core.handleGrant(grant);
    if (reply === null || reply.refusedAll !== '' || this.#grantsSeen.has(grant.number))
      return reply;
    this.#grantsSeen.add(grant.number);
    const refused = new Set(reply.refused.map(({ token }) => tokenFromWire(token)));
    try {
      for (const { lease, demand } of leases) {
        const token = tokenFromWire(lease.token);
        const isRunning = witness.custody.get(agentId)?.has(token) === true;
        if (refused.has(token) || isRunning || demand === undefined) continue;
        witness.onHeld(
          agentId,
          token,
          { state: 'waiting', demand, gpuIds: lease.gpuIds },
          capacity,
        );
      }
    } catch (error) {
      fail(error);
    }
    return reply;
  }

  #offer(results: readonly Result[]): Promise<ResultReply | null> {
    const { network, agentId } = this.#options;
    const payload = { agentId, session: this.#session, results };
    this.#machine.offered(payload);
    return new Promise((resolve) => {
      network.request<ResultReply>(
        agentId,
        this.process,
        RESULT_SUBJECTS,
        payload,
        RESULT_TIMEOUT_MS,
        (answer) => resolve(answer.state === 'answered' ? answer.value : null),
      );
    });
  }

  // --- units ----------------------------------------------------------------------------------

  #executor(): UnitExecutor {
    const { witness, agentId } = this.#options;
    return {
      execute: (assignment, signal, progressed) => this.#execute(assignment, signal, progressed),
      storeAgain: (result) =>
        new Promise((resolve) => {
          const outputs = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
          this.#upload(
            outputs,
            () => true,
            () => resolve(result),
          );
        }),
      discard: (token) => {
        witness.onReleased(agentId, tokenFromWire(token));
        return Promise.resolve();
      },
    };
  }

  #execute(
    assignment: Assignment,
    signal: AbortSignal,
    progressed: (counter: number) => void,
  ): Promise<Result> {
    const { prng, units, witness, agentId, capacity, fail, timeline } = this.#options;
    const { token, demand, gpuIds } = assignment;
    const startedAtMs = this.process.clock.wallMs();
    timeline.note(`${this.process.name} runs ${tokenKey(token)}`);
    this.#machine.running.add(token);
    try {
      witness.onHeld(agentId, tokenFromWire(token), { state: 'running', demand, gpuIds }, capacity);
    } catch (error) {
      fail(error);
    }
    const hangs = prng.chance(units.hang);
    if (hangs) witness.onHangs(tokenFromWire(token));
    const fails = prng.chance(units.failure);
    const isLong = prng.chance(0.2);
    const finiteMs = isLong
      ? prng.between(20, units.mostRunMs)
      : prng.longTailed(20, units.mostRunMs);
    const runMs = hangs ? Infinity : finiteMs;
    return new Promise((resolve) => {
      let isOver = false;
      const end = (outcome: Result['outcome']): void => {
        if (isOver) return;
        isOver = true;
        this.#machine.running.delete(token);
        witness.onReleased(agentId, tokenFromWire(token));
        if (outcome?.$case === 'success') witness.onSucceeded(tokenFromWire(token));
        resolve(this.#result(assignment, startedAtMs, outcome));
      };
      const tick = (counter: number): void => {
        if (isOver) return;
        if (!hangs) progressed(counter);
        this.process.after(PROGRESS_MS, 'unit goes on', () => tick(counter + 1));
      };
      tick(1);
      if (runMs < Infinity) {
        this.process.after(runMs, 'unit ends', () =>
          fails
            ? end(failure(prng.pick(FAILURE_KINDS)))
            : this.#deliver(outputsOf(assignment, prng), () => !isOver, end),
        );
      }
      const stop = (): void => {
        const endsMs = prng.longTailed(5, 3_000);
        this.process.after(endsMs, 'unit is ended', () => end(failure('evicted')));
      };
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  }

  /** What a unit made goes into the blob store before it is said to be there. */
  #deliver(
    outputs: readonly File[],
    isWanted: () => boolean,
    end: (outcome: Result['outcome']) => void,
  ): void {
    const { prng, units } = this.#options;
    const isBad = prng.chance(units.badResult);
    const said = isBad ? [{ ...BAD_FILE, sha256: prng.hex(64) }] : outputs;
    const succeed = (): void => end({ $case: 'success', value: { outputs: [...said] } });
    if (outputs.length === 0 || prng.chance(units.uploadLoss)) succeed();
    else this.#upload(said, isWanted, succeed);
  }

  /** Until the coordinator says that all of it is stored, or nobody wants it any more. */
  #upload(files: readonly File[], isWanted: () => boolean, stored: () => void): void {
    if (!isWanted()) return;
    const { network, agentId, findCoordinator } = this.#options;
    let isOpen = true;
    const cancel = this.process.clock.after(UPLOAD_TIMEOUT_MS, () => {
      isOpen = false;
      this.#upload(files, isWanted, stored);
    });
    const coordinator = findCoordinator();
    if (coordinator === undefined) return;
    const { machine, process, blobs } = coordinator;
    network.send(agentId, machine, process, 'upload', () => {
      let left = files.length;
      const one = (): void => {
        left -= 1;
        if (left > 0) return;
        network.send(machine, agentId, this.process, 'upload is stored', () => {
          if (!isOpen) return;
          isOpen = false;
          cancel();
          if (isWanted()) stored();
        });
      };
      for (const { sha256 } of files) blobs.receive(sha256, 'result', one);
    });
  }

  #result(assignment: Assignment, startedAtMs: number, outcome: Result['outcome']): Result {
    const { token, jobId, step, unit } = assignment;
    const endedAtMs = this.process.clock.wallMs();
    return { token, jobId, step, unit, outcome, startedAtMs, endedAtMs, peakRamBytes: 0 };
  }
}

const FAILURE_KINDS = ['failed', 'timed-out', 'bad-output', 'infrastructure', 'out-of-memory'];

function failure(kind: string): Result['outcome'] {
  return { $case: 'failure', value: { kind, message: `simulated: ${kind}` } };
}

const BAD_FILE: File = { name: '../out-of-its-folder', sha256: '', sizeBytes: 1 };

/**
 * A `*` in an output pattern becomes a few files; other patterns name one. Some units make the same
 * bytes as others.
 */
function outputsOf(assignment: Assignment, prng: Prng): File[] {
  return assignment.outputs.flatMap(({ pattern }): File[] => {
    const count = pattern.includes('*') ? prng.whole(1, 5) : 1;
    return Array.from({ length: count }, (_, index) => ({
      name: pattern.replace('*', String(index)),
      sha256: prng.chance(0.25) ? sharedBlob(prng) : prng.hex(64),
      sizeBytes: prng.whole(1, 1_000_000),
    }));
  });
}

/** One of a few contents that many jobs have in common. */
export function sharedBlob(prng: Prng): string {
  return prng.whole(1, 8).toString(16).padStart(64, '0');
}
