/**
 * What units do on an agent's machine, in place of runners: they run for a while, fail or hang, and
 * what they made is uploaded before it is said to be there.
 */
import type { UnitExecutor } from '../../agent/agent-core.ts';
import type { Assignment } from '../../agent/assignment.ts';
import type { Cancellation } from '../../agent/cancellation.ts';
import { tokenKey } from '../../agent/token-key.ts';
import { tokenFromWire } from '../../coordinator/grpc/wire.ts';
import type { Capacity, Token } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { File } from '../../proto/gen/furrow/v1/step.ts';
import type { Result } from '../../proto/gen/furrow/work/v1/work.ts';
import type { Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import type { Witness } from './witness.ts';

/** How units behave; changed when the faults begin and end. */
export interface UnitWeather {
  failure: number;
  hang: number;
  mostRunMs: number;
  /** So many times as long the units of an agent run that are begun now; agents without an entry are as ever. */
  readonly slowness: Map<string, number>;
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

export interface SimUnitsOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly witness: Witness;
  readonly prng: Prng;
  readonly agentId: string;
  readonly process: SimProcess;
  readonly capacity: Capacity;
  readonly units: UnitWeather;
  /** Process groups on the machine; they outlive the program. */
  readonly running: Set<Token>;
  /** The coordinator that the agent talks to now. */
  readonly coordinator: () => SimCoordinator | undefined;
  readonly fail: (error: unknown) => void;
}

const PROGRESS_MS = 3_000;
const UPLOAD_TIMEOUT_MS = 10_000;
/** Also on a slow agent: who waits for the end of all jobs waits no longer for each result. */
const MOST_SLOW_RUN_MS = 5 * 60_000;

export class SimUnits implements UnitExecutor {
  readonly #options: SimUnitsOptions;

  constructor(options: SimUnitsOptions) {
    this.#options = options;
  }

  storeAgain(result: Result): Promise<Result> {
    const outputs = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
    return new Promise((resolve) => {
      this.#upload(
        outputs,
        () => true,
        () => resolve(result),
      );
    });
  }

  discard(token: Token): Promise<void> {
    const { witness, agentId } = this.#options;
    witness.custody.onReleased(agentId, tokenFromWire(token));
    return Promise.resolve();
  }

  execute(
    assignment: Assignment,
    { signal }: Cancellation,
    progressed: (counter: number) => void,
  ): Promise<Result> {
    const { prng, units, witness, agentId, capacity, fail, timeline, process, running } =
      this.#options;
    const { token, demand, gpuIds, slotKey } = assignment;
    const startedAtMs = process.clock.wallMs();
    timeline.note(`${process.name} runs ${tokenKey(token)}`);
    running.add(token);
    try {
      witness.custody.onHeld(
        agentId,
        tokenFromWire(token),
        { state: 'running', demand, gpuIds, slotKey },
        capacity,
      );
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
    const slowMs = Math.min(finiteMs * (units.slowness.get(agentId) ?? 1), MOST_SLOW_RUN_MS);
    const runMs = hangs ? Infinity : Math.max(finiteMs, slowMs);
    return new Promise((resolve) => {
      let isOver = false;
      const end = (outcome: Result['outcome']): void => {
        if (isOver) return;
        isOver = true;
        running.delete(token);
        witness.custody.onReleased(agentId, tokenFromWire(token));
        if (outcome?.$case === 'success') witness.onSucceeded(tokenFromWire(token));
        resolve(this.#result(assignment, startedAtMs, outcome));
      };
      const tick = (counter: number): void => {
        if (isOver) return;
        if (!hangs) progressed(counter);
        process.after(PROGRESS_MS, 'unit goes on', () => tick(counter + 1));
      };
      tick(1);
      if (runMs < Infinity) {
        process.after(runMs, 'unit ends', () =>
          fails
            ? end(failure(prng.pick(FAILURE_KINDS)))
            : this.#deliver(outputsOf(assignment, prng), () => !isOver, end),
        );
      }
      const stop = (): void => {
        const endsMs = prng.longTailed(5, 3_000);
        process.after(endsMs, 'unit is ended', () => end(failure('evicted')));
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
    const { network, agentId, process } = this.#options;
    let isOpen = true;
    const cancel = process.clock.after(UPLOAD_TIMEOUT_MS, () => {
      isOpen = false;
      this.#upload(files, isWanted, stored);
    });
    const coordinator = this.#options.coordinator();
    if (coordinator === undefined) return;
    const { machine, blobs } = coordinator;
    network.send(agentId, machine, coordinator.process, 'upload', () => {
      let left = files.length;
      const one = (): void => {
        left -= 1;
        if (left > 0) return;
        network.send(machine, agentId, process, 'upload is stored', () => {
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
    const endedAtMs = this.#options.process.clock.wallMs();
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
      sha256: prng.chance(0.5) ? sharedBlob(prng) : prng.hex(64),
      sizeBytes: prng.whole(1, 1_000_000),
    }));
  });
}

/** One of a few contents that many jobs have in common. */
export function sharedBlob(prng: Prng): string {
  return sharedBlobOf(prng.whole(1, SHARED_BLOBS));
}

export const SHARED_BLOBS = 20;

/** From 1. */
export function sharedBlobOf(number: number): string {
  return number.toString(16).padStart(64, '0');
}
