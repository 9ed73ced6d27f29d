/**
 * One attempt, from its inputs to its result: fetch, run, collect, store. Whatever goes wrong is a
 * failure with a kind, never an exception.
 */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { Result } from '../proto/gen/furrow/work/v1/work.ts';
import type { Clock } from '../kit/clock.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { unsafeName } from '../kit/safe-name.ts';
import type { UnitExecutor } from './agent-core.ts';
import type { Assignment } from './assignment.ts';
import type { AttemptFiles } from './attempt-files.ts';
import { collectOutputs } from './collect-outputs.ts';
import { runProcess, type ProcessHost } from './process/run-process.ts';
import type { RunnerRegistry } from './runners/registry.ts';
import type { FailureKind, Runner, RunnerContext, RunOutcome, UnitWork } from './runners/runner.ts';

/** Bytes from the coordinator and back. Retryable errors mean that the store is away. */
export interface BlobTransfer {
  /** Puts the file into the directory under its name, verified. */
  place(file: File, directory: string, signal: AbortSignal): Promise<unknown>;
  /** Names of those placed files whose bytes somebody changed since. */
  altered(files: readonly File[]): Promise<readonly string[]>;
  /** Stores the file unless the store has it already. */
  upload(path: string, signal: AbortSignal): Promise<{ sha256: string; sizeBytes: number }>;
}

/** What people may see of an attempt while it runs. */
export interface UnitTelemetry {
  progress(assignment: Assignment, fraction: number, counter: number, note: string): void;
  log(assignment: Assignment, line: string): void;
}

export interface ExecutorPorts {
  readonly clock: Clock;
  readonly blobs: BlobTransfer;
  readonly files: AttemptFiles;
  readonly processes: ProcessHost;
  readonly runners: RunnerRegistry;
  readonly telemetry: UnitTelemetry;
  readonly log: Logger;
}

/** Inputs that cannot be had for so long make the attempt fail; another agent may reach the store. */
const INPUT_PATIENCE_MS = 10 * 60_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
/** A transfer is alive as long as the blob client does not give it up: its beats must say so. */
const TRANSFER_TICK_MS = 5_000;
/** With less than this left, a failed unit's disk counts as full. */
const DISK_FULL_BYTES = 8 * 1024 * 1024;

export function createExecutor(ports: ExecutorPorts): UnitExecutor {
  return {
    execute: (assignment, signal, progressed) =>
      new Attempt(ports, assignment, signal, progressed).execute(),
    storeAgain: (result, missing, signal) => storeAgain(ports, result, missing, signal),
    discard: async (token) => {
      await ports.files.remove(token).catch((error: unknown) => {
        // The next start sweeps it.
        ports.log.warn({ token, error: messageOf(error) }, 'cannot delete files of an attempt');
      });
    },
  };
}

/** The lifetime of one attempt. */
class Attempt {
  readonly #ports: ExecutorPorts;
  readonly #assignment: Assignment;
  readonly #signal: AbortSignal;
  readonly #progressed: (counter: number) => void;
  readonly #startedAtMs: number;
  #peakRamBytes = 0;
  #runnerCounter = 0;
  #ticks = 0;

  constructor(
    ports: ExecutorPorts,
    assignment: Assignment,
    signal: AbortSignal,
    progressed: (counter: number) => void,
  ) {
    this.#ports = ports;
    this.#assignment = assignment;
    this.#signal = signal;
    this.#progressed = progressed;
    this.#startedAtMs = ports.clock.wallMs();
  }

  async execute(): Promise<Result> {
    try {
      const runner = this.#runner();
      const directory = this.#needsDirectory(runner)
        ? await this.#ports.files.create(this.#assignment)
        : '';
      await this.#fetchInputs(directory);
      const outcome = await this.#run(runner, directory);
      if (outcome.state === 'failed') return await this.#failed(outcome, directory);
      return await this.#store(directory);
    } catch (error) {
      return this.#failure(...failureOf(error, this.#signal));
    }
  }

  #runner(): Runner {
    const { kind } = this.#assignment.task;
    const runner = kind === undefined ? undefined : this.#ports.runners.get(kind.$case);
    if (runner !== undefined) return runner;
    const message = `this agent cannot run ${kind?.$case ?? 'this task'}: update it`;
    throw new FurrowError('failed-precondition', 'TOOL_MISSING', message);
  }

  #needsDirectory(runner: Runner): boolean {
    const hasFiles = this.#inputs().length > 0 || this.#assignment.outputs.length > 0;
    return hasFiles || runner.needsDirectory !== false;
  }

  #inputs(): readonly File[] {
    const { inputs, item } = this.#assignment;
    return item === null ? inputs : [...inputs, item];
  }

  async #fetchInputs(directory: string): Promise<void> {
    if (this.#inputs().length === 0) return;
    for (const file of this.#inputs()) {
      const why = unsafeName(file.name);
      if (why !== undefined) {
        const message = `the input ${JSON.stringify(file.name)} has a bad name: ${why}`;
        throw new FurrowError('invalid', 'UNSAFE_NAME', message);
      }
    }
    await this.#whileTicking(async () => {
      for (const file of this.#inputs()) {
        await persist(
          () => this.#ports.blobs.place(file, directory, this.#signal),
          this.#signal,
          INPUT_PATIENCE_MS,
        );
      }
    });
  }

  async #run(runner: Runner, directory: string): Promise<RunOutcome> {
    const { limits } = this.#assignment;
    const run = new AbortController();
    const stop = (): void => run.abort(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    if (this.#signal.aborted) stop();
    const cancelTimeout =
      limits.runTimeoutMs === 0
        ? () => undefined
        : this.#ports.clock.after(limits.runTimeoutMs, () =>
            run.abort(timedOut(limits.runTimeoutMs)),
          );
    try {
      const context = this.#context(run.signal);
      const { jobId, step, unit, attempt } = this.#assignment;
      this.#ports.log.debug({ job: jobId, step, unit, attempt }, 'unit starts');
      const outcome = await runner.run({ ...this.#work(directory), limits }, context);
      run.signal.throwIfAborted();
      return outcome;
    } catch (error) {
      // Whatever a runner throws after its end was ordered, the order is why.
      throw run.signal.aborted ? run.signal.reason : error;
    } finally {
      cancelTimeout();
      this.#signal.removeEventListener('abort', stop);
    }
  }

  #work(directory: string): UnitWork {
    const { jobId, step, unit, attempt, value, item, task, demand, limits, gpuIds } =
      this.#assignment;
    return {
      jobId,
      step,
      unit,
      attempt,
      value,
      item: item?.name ?? '',
      task,
      demand,
      limits,
      gpuIds,
      directory,
    };
  }

  #context(signal: AbortSignal): RunnerContext {
    const { telemetry, processes } = this.#ports;
    const log = (line: string): void => telemetry.log(this.#assignment, line);
    return {
      signal,
      log,
      progress: (fraction, counter, note) => {
        this.#runnerCounter = Math.max(this.#runnerCounter, counter);
        this.#report();
        telemetry.progress(this.#assignment, fraction, this.#runnerCounter, note);
      },
      run: async (request) => {
        // An empty list hides every GPU from a unit that reserved none.
        const environment = {
          CUDA_VISIBLE_DEVICES: this.#assignment.gpuIds.join(','),
          ...request.environment,
        };
        const result = await runProcess(processes, { ...request, environment }, { signal, log });
        this.#peakRamBytes = Math.max(this.#peakRamBytes, result.peakRamBytes);
        return result;
      },
    };
  }

  async #store(directory: string): Promise<Result> {
    if (this.#inputs().length === 0 && this.#assignment.outputs.length === 0) {
      return this.#result({ $case: 'success', value: { outputs: [] } });
    }
    const [altered] = await this.#ports.blobs.altered(this.#inputs());
    if (altered !== undefined) {
      // By it or by a neighbour: what it made of wrong bytes must not be stored.
      const message = `its input ${altered} was written to while it ran: units must not change inputs`;
      return this.#failure('failed', message);
    }
    const inputs = new Set(this.#inputs().map(({ name }) => name));
    const collected = await collectOutputs(directory, this.#assignment.outputs, inputs);
    if (collected.state === 'bad') return this.#failure('bad-output', collected.message);
    const outputs: File[] = [];
    await this.#whileTicking(async () => {
      for (const name of collected.names) {
        const upload = (): ReturnType<BlobTransfer['upload']> =>
          this.#ports.blobs.upload(join(directory, name), this.#signal);
        // The work is done: it waits for the store as long as anybody wants it.
        outputs.push({ name, ...(await persist(upload, this.#signal, Infinity)) });
      }
    });
    return this.#result({ $case: 'success', value: { outputs } });
  }

  /** A program that says it failed may only have met a full disk. */
  async #failed(outcome: RunOutcome & { state: 'failed' }, directory: string): Promise<Result> {
    const { kind, message } = outcome;
    const diskFull =
      kind === 'failed' &&
      (/no space left on device|disk quota exceeded/i.test(message) ||
        (await freeBytes(directory)) < DISK_FULL_BYTES);
    if (diskFull) return this.#failure('infrastructure', `the agent's disk is full: ${message}`);
    return this.#failure(kind, message);
  }

  #failure(kind: FailureKind, message: string): Result {
    return this.#result({ $case: 'failure', value: { kind, message: messageOf(message) } });
  }

  #result(outcome: NonNullable<Result['outcome']>): Result {
    const { token, jobId, step, unit } = this.#assignment;
    return {
      token,
      jobId,
      step,
      unit,
      outcome,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#ports.clock.wallMs(),
      peakRamBytes: this.#peakRamBytes,
    };
  }

  async #whileTicking(work: () => Promise<void>): Promise<void> {
    const tick = (): void => {
      this.#ticks += 1;
      this.#report();
    };
    const timer = setInterval(tick, TRANSFER_TICK_MS);
    try {
      await work();
    } finally {
      clearInterval(timer);
    }
    tick();
  }

  #report(): void {
    this.#progressed(this.#runnerCounter + this.#ticks);
  }
}

async function storeAgain(
  ports: ExecutorPorts,
  result: Result,
  missing: readonly string[],
  signal: AbortSignal,
): Promise<Result> {
  const directory = ports.files.find(result.token as Token);
  const files = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
  try {
    for (const file of files) {
      if (!missing.includes(file.sha256)) continue;
      if (directory === null) throw new Error('its directory is gone');
      const upload = (): ReturnType<BlobTransfer['upload']> =>
        ports.blobs.upload(join(directory, file.name), signal);
      const stored = await persist(upload, signal, Infinity);
      if (stored.sha256 !== file.sha256) throw new Error(`${file.name} has changed`);
    }
    return result;
  } catch (error) {
    const message = `outputs were lost after they were stored: ${messageOf(error)}`;
    return {
      ...result,
      outcome: { $case: 'failure', value: { kind: 'infrastructure', message } },
    };
  }
}

/** Tries again, with growing pauses, for as long as the store is only away. */
async function persist<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  patienceMs: number,
): Promise<T> {
  const giveUpAt = performance.now() + patienceMs;
  for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_RETRY_MS)) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const away = error instanceof FurrowError && error.retryable;
      if (!away || performance.now() + pauseMs > giveUpAt) throw error;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

function timedOut(limitMs: number): FurrowError {
  return new FurrowError(
    'timed-out',
    'RUN_TIMEOUT',
    `it ran longer than its limit of ${limitMs / 1000} s`,
  );
}

/** Errors of the machine, not of the unit: another agent can do better. */
const MACHINE_ERRORS: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EACCES',
  'EAGAIN',
]);

export function failureOf(error: unknown, signal: AbortSignal): readonly [FailureKind, string] {
  const message = messageOf(error);
  if (signal.aborted) return ['evicted', messageOf(signal.reason)];
  if (error instanceof FurrowError) {
    if (error.reason === 'RUN_TIMEOUT') return ['timed-out', message];
    return [error.code === 'invalid' ? 'invalid-input' : 'infrastructure', message];
  }
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== undefined && MACHINE_ERRORS.has(code)) {
    const remedy = code === 'ENOSPC' || code === 'EDQUOT' ? "the agent's disk is full: " : '';
    return ['infrastructure', `${remedy}${message}`];
  }
  return ['failed', message];
}
