/**
 * One attempt, from its inputs to its result: fetch, run, collect, store. Whatever goes wrong is a
 * failure with a kind, never an exception.
 */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { ModelSighting, Result } from '../proto/gen/furrow/work/v1/work.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { UnitExecutor } from './agent-core.ts';
import type { Assignment } from './assignment.ts';
import { CHECKPOINT_FOLDER, fillCheckpoint, leavesCheckpoints } from './attempt-checkpoint.ts';
import { Cancellation } from './cancellation.ts';
import { CheckpointSaver } from './checkpoint-saver.ts';
import { collectOutputs, ownOutput } from './collect-outputs.ts';
import type { BlobTransfer, ExecutorPorts } from './executor-ports.ts';
import { failureOf, judgeFailure, outOfMemory, type FailedRun } from './failure-kind.ts';
import { persist } from './persist.ts';
import { storeAgain } from './store-again.ts';
import { checkNames, inputsOf, placeAll, type UnitInputs } from './unit-inputs.ts';
import { TEMPORARY_FOLDER, unitSurroundings } from './unit-surroundings.ts';
import type { GuardedUnit } from './process/memory-guard.ts';
import { runProcess } from './process/run-process.ts';
import type { FailureKind, Runner, RunnerContext, RunOutcome, UnitWork } from './runners/runner.ts';

/** Inputs that cannot be had for so long make the attempt fail; another agent may reach the store. */
const INPUT_PATIENCE_MS = 10 * 60_000;
/** A transfer is alive as long as the blob client does not give it up: its beats must say so. */
const TRANSFER_TICK_MS = 5_000;
/** With less than this left, a failed unit's disk counts as full. */
const DISK_FULL_BYTES = 8 * 1024 * 1024;

export function createExecutor(ports: ExecutorPorts): UnitExecutor {
  return {
    execute: (assignment, cancellation, progressed) =>
      new Attempt(ports, assignment, cancellation, progressed).execute(),
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
  readonly #cancellation: Cancellation;
  readonly #progressed: (counter: number) => void;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  /** None while they are not known. */
  #inputs: UnitInputs = { all: [], part: [] };
  #peakRamBytes = 0;
  #peakVramBytes = 0;
  /** What its model was seen to take. */
  #model: ModelSighting | undefined;
  /** Null while nothing is saved of it. */
  #checkpoint: { readonly directory: string; readonly saver: CheckpointSaver } | null = null;
  /** The last program that ended badly. */
  #failedRun: FailedRun | null = null;
  #runnerCounter = 0;
  #ticks = 0;

  constructor(
    ports: ExecutorPorts,
    assignment: Assignment,
    cancellation: Cancellation,
    progressed: (counter: number) => void,
  ) {
    this.#ports = ports;
    this.#assignment = assignment;
    this.#cancellation = cancellation;
    this.#progressed = progressed;
    this.#startedAtMs = ports.clock.wallMs();
    this.#startedMs = ports.clock.monotonicMs();
  }

  async execute(): Promise<Result> {
    try {
      const runner = this.#runner();
      const directory = this.#needsDirectory(runner)
        ? await this.#ports.files.create(this.#assignment)
        : '';
      await this.#fetchInputs(directory);
      await this.#openCheckpoint(directory);
      const outcome = await this.#run(runner, directory);
      if (outcome.state === 'failed') return await this.#failed(outcome, directory);
      return await this.#store(directory);
    } catch (error) {
      if (this.#isEvicted) await this.#checkpoint?.saver.saveLast();
      return this.#failure(...failureOf(error, this.#cancellation));
    } finally {
      await this.#checkpoint?.saver.stop();
    }
  }

  /** Ended for the machine's sake: the next attempt is to lose nothing. */
  get #isEvicted(): boolean {
    const { reason } = this.#cancellation;
    return reason instanceof FurrowError && reason.reason === 'EVICTED';
  }

  /** Nobody knows what its program is. */
  get #isCommand(): boolean {
    return this.#assignment.task.kind?.$case === 'command';
  }

  async #openCheckpoint(unitDirectory: string): Promise<void> {
    if (!leavesCheckpoints(this.#assignment)) return;
    const { blobs, checkpoints, telemetry, log } = this.#ports;
    const place = (files: readonly File[], into: string): Promise<void> => this.#place(files, into);
    const directory = await fillCheckpoint(unitDirectory, this.#assignment.checkpoint, place);
    const saver = await CheckpointSaver.start({
      directory,
      store: (path, signal) => blobs.store(path, signal),
      offer: (files) => checkpoints.offerCheckpoint(this.#assignment, files),
      tell: (line) => telemetry.log(this.#assignment, line),
      log,
    });
    this.#checkpoint = { directory, saver };
  }

  #runner(): Runner {
    const { kind } = this.#assignment.task;
    const runner = kind === undefined ? undefined : this.#ports.runners.get(kind.$case);
    if (runner !== undefined) return runner;
    const message = `this agent cannot run ${kind?.$case ?? 'this task'}: update it`;
    throw new FurrowError('failed-precondition', 'TOOL_MISSING', message);
  }

  #needsDirectory(runner: Runner): boolean {
    const { inputs, item, inputList, fileList, outputs } = this.#assignment;
    const isGiven = inputs.length > 0 || item !== null;
    const isListed = inputList !== undefined || fileList !== undefined;
    return isGiven || isListed || outputs.length > 0 || runner.needsDirectory !== false;
  }

  /** Fetched if need be, however long that takes. */
  async #place(files: readonly File[], directory: string): Promise<void> {
    const { blobs } = this.#ports;
    const { signal } = this.#cancellation;
    const place = (file: File): Promise<unknown> => blobs.place(file, directory, signal);
    await this.#whileTicking(() =>
      placeAll(files, (file) => persist(() => place(file), signal, INPUT_PATIENCE_MS)),
    );
  }

  async #fetchInputs(directory: string): Promise<void> {
    const place = (files: readonly File[], into: string): Promise<void> => this.#place(files, into);
    const inputs = await inputsOf(this.#assignment, directory, place);
    if (inputs.all.length === 0) return;
    checkNames(inputs.all);
    this.#inputs = inputs;
    await this.#place(inputs.all, directory);
  }

  async #run(runner: Runner, directory: string): Promise<RunOutcome> {
    const { limits } = this.#assignment;
    const run = new Cancellation();
    const guarded = this.#ports.memory.guard(this.#assignment.demand.ramBytes);
    const goOn = this.#cancellation.onAbort((reason) => run.abort(reason));
    const timers = this.#startTimers(run);
    try {
      const context = this.#context(directory, run, guarded, timers.progressed);
      const { jobId, step, unit, attempt } = this.#assignment;
      this.#ports.log.debug({ job: jobId, step, unit, attempt }, 'unit starts');
      if (runner.usesModel !== true) await this.#ports.models.makeRoom(this.#roomWanted());
      const outcome = await runner.run({ ...this.#work(directory), limits }, context);
      run.throwIfAborted();
      return outcome;
    } catch (error) {
      // Whatever a runner throws after its end was ordered, the order is why.
      throw run.aborted ? run.reason : error;
    } finally {
      timers.cancel();
      goOn();
      this.#peakRamBytes = Math.max(this.#peakRamBytes, guarded.peakBytes);
      guarded.close();
    }
  }

  #roomWanted(): { readonly ramBytes: number; readonly gpuIds: readonly string[] } {
    const { demand, gpuIds } = this.#assignment;
    return { ramBytes: demand.ramBytes, gpuIds };
  }

  /** Of the whole run, and to its first progress. */
  #startTimers(run: Cancellation): {
    readonly cancel: () => void;
    readonly progressed: () => void;
  } {
    const { runTimeoutMs, startTimeoutMs = 0 } = this.#assignment.limits;
    const { clock } = this.#ports;
    const abortAfter = (limitMs: number, what: string): (() => void) =>
      limitMs === 0
        ? () => undefined
        : clock.after(limitMs, () => run.abort(timedOut(what, limitMs)));
    const cancelRun = abortAfter(runTimeoutMs, 'it ran longer than its limit of');
    const cancelStart = abortAfter(
      startTimeoutMs,
      'it showed no progress within its start limit of',
    );
    return {
      cancel: () => {
        cancelRun();
        cancelStart();
      },
      progressed: cancelStart,
    };
  }

  #work(directory: string): UnitWork {
    const { jobId, step, unit, attempt, value, task, demand, limits, gpuIds } = this.#assignment;
    const { item, fileList, because } = this.#assignment;
    const { part } = this.#inputs;
    const only = fileList?.perUnit === 1 ? part[0] : undefined;
    return {
      jobId,
      step,
      unit,
      attempt,
      value,
      item: (item ?? only)?.name ?? '',
      files: part,
      task,
      demand,
      limits,
      because,
      gpuIds,
      directory,
    };
  }

  #context(
    directory: string,
    cancellation: Cancellation,
    guarded: GuardedUnit,
    progressed: () => void,
  ): RunnerContext {
    const { telemetry, processes } = this.#ports;
    const log = (line: string): void => telemetry.log(this.#assignment, line);
    return {
      get signal() {
        return cancellation.signal;
      },
      log,
      progress: (fraction, counter, note) => {
        if (counter > 0) progressed();
        this.#runnerCounter = Math.max(this.#runnerCounter, counter);
        this.#report();
        telemetry.progress(this.#assignment, fraction, this.#runnerCounter, note);
      },
      run: async (request) => {
        const { environment, box } = await unitSurroundings({
          assignment: this.#assignment,
          rules: this.#ports.programs,
          directory: request.cwd,
          inputs: this.#inputs.all,
          checkpoint: this.#checkpoint?.directory,
          request,
        });
        const { signal } = cancellation;
        const options = { signal, log, guarded, box };
        const result = await runProcess(processes, { ...request, environment }, options).catch(
          (error: unknown) => this.#giveUpGpus(error),
        );
        const { memoryEnd, peakRamBytes, peakVramBytes } = result;
        this.#peakVramBytes = Math.max(this.#peakVramBytes, peakVramBytes);
        this.#peakRamBytes = Math.max(
          this.#peakRamBytes,
          memoryEnd === null ? peakRamBytes : memoryEnd.usedBytes,
        );
        if (memoryEnd !== null) throw outOfMemory(memoryEnd, guarded.demandBytes);
        if (result.exitCode !== 0) this.#failedRun = result;
        return result;
      },
      lendModel: (request) => {
        const { demand, gpuIds, modelMemory } = this.#assignment;
        const { signal } = cancellation;
        const noteVram = (bytes: number): void => {
          this.#peakVramBytes = Math.max(this.#peakVramBytes, bytes);
        };
        const noteModel = (seen: ModelSighting): void => this.#noteModel(seen);
        const own = { directory, demand, gpuIds, guarded, signal };
        return this.#ports.models.lend(request, { ...own, noteVram, modelMemory, noteModel });
      },
    };
  }

  /** What does not even end when it is killed keeps its GPUs from everybody else. */
  #giveUpGpus(error: unknown): never {
    const { gpuIds } = this.#assignment;
    const survives = error instanceof FurrowError && error.reason === 'PROCESS_SURVIVES';
    if (survives && gpuIds.length > 0) this.#ports.gpus.giveUp(gpuIds, messageOf(error));
    throw error;
  }

  async #store(directory: string): Promise<Result> {
    const inputs = this.#inputs.all;
    if (inputs.length === 0 && this.#assignment.outputs.length === 0) {
      return this.#result({ $case: 'success', value: { outputs: [] } });
    }
    const [altered] = await this.#ports.blobs.altered(inputs);
    if (altered !== undefined) {
      // By it or by a neighbour: what it made of wrong bytes must not be stored.
      const message = `its input ${altered} was written to while it ran: units must not change inputs`;
      return this.#failure('failed', message);
    }
    const given = new Set(inputs.map(({ name }) => name));
    const { outputs: patterns } = this.#assignment;
    const collected = await collectOutputs(directory, patterns, given, [
      TEMPORARY_FOLDER,
      ...(this.#checkpoint === null ? [] : [CHECKPOINT_FOLDER]),
    ]);
    if (collected.state === 'bad') return this.#failure('bad-output', collected.message);
    const outputs: File[] = [];
    await this.#whileTicking(async () => {
      for (const name of collected.names) {
        if (this.#isCommand) await ownOutput(directory, name);
        const upload = (): ReturnType<BlobTransfer['upload']> =>
          this.#ports.blobs.upload(join(directory, name), this.#cancellation.signal);
        // The work is done: it waits for the store as long as anybody wants it.
        outputs.push({ name, ...(await persist(upload, this.#cancellation.signal, Infinity)) });
      }
    });
    return this.#result({ $case: 'success', value: { outputs } });
  }

  /** A program that says it failed may only have met a machine with too little of something. */
  async #failed(outcome: RunOutcome & { state: 'failed' }, directory: string): Promise<Result> {
    const { gpuIds, hasStandIn = false } = this.#assignment;
    const patterns = this.#ports.failurePatterns;
    const unit = { hasGpu: gpuIds.length > 0, hasStandIn };
    const { kind, message } = judgeFailure(outcome, this.#failedRun, unit, patterns);
    if (kind === 'failed' && (await freeBytes(directory)) < DISK_FULL_BYTES) {
      return this.#failure('infrastructure', `the agent's disk is full: ${message}`);
    }
    // A unit whose GPU falls off the bus fails before the driver says so.
    const fault =
      kind === 'failed' && gpuIds.length > 0 ? await this.#ports.gpus.faultOf(gpuIds) : null;
    if (fault !== null) return this.#failure('infrastructure', `${fault}; the unit: ${message}`);
    return this.#failure(kind, message);
  }

  #failure(kind: FailureKind, message: string): Result {
    return this.#result({ $case: 'failure', value: { kind, message: messageOf(message) } });
  }

  #result(outcome: NonNullable<Result['outcome']>): Result {
    const { token, jobId, step, unit } = this.#assignment;
    // By the clock that nobody sets: what units usually take is learned from these two.
    const runMs = Math.round(this.#ports.clock.monotonicMs() - this.#startedMs);
    return {
      token,
      jobId,
      step,
      unit,
      outcome,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#startedAtMs + runMs,
      peakRamBytes: this.#peakRamBytes,
      peakVramBytes: this.#peakVramBytes === 0 ? undefined : this.#peakVramBytes,
      model: this.#model,
    };
  }

  /** Of several works the one that took most; what was measured counts more than what was too little. */
  #noteModel(seen: ModelSighting): void {
    const before = this.#model;
    const isMore = (seen.memory?.pixelBytes ?? 0) > (before?.memory?.pixelBytes ?? 0);
    const isFirst = before === undefined || (before.ranOut && !seen.ranOut);
    if (isFirst || (before.ranOut === seen.ranOut && isMore)) this.#model = seen;
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

async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

function timedOut(what: string, limitMs: number): FurrowError {
  return new FurrowError('timed-out', 'RUN_TIMEOUT', `${what} ${limitMs / 1000} s`);
}
