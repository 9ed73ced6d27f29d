/**
 * What runs a task. A runner knows one kind of task; it is given a directory that holds the inputs
 * and leaves the outputs there. Runners never touch the network, the lease or the outbox.
 */
import type { Demand, File, Limits } from '../../proto/gen/furrow/v1/step.ts';
import type { Task } from '../../proto/gen/furrow/v1/task.ts';
import type { LentModel, ModelRequest } from '../models/lent-model.ts';
import type { MemoryEnd } from '../process/memory-limits.ts';

/** Failure kinds an agent may report; the kind decides what follows, not the agent. */
export type FailureKind =
  | 'failed'
  | 'invalid-input'
  | 'out-of-memory'
  | 'out-of-vram'
  | 'timed-out'
  | 'stalled'
  | 'bad-output'
  | 'evicted'
  | 'infrastructure';

export type RunOutcome =
  | { readonly state: 'succeeded' }
  /** `message` is one line that names the thing and the remedy. */
  | { readonly state: 'failed'; readonly kind: FailureKind; readonly message: string };

/** One attempt, as a runner sees it. */
export interface UnitWork {
  readonly jobId: string;
  readonly step: string;
  readonly unit: number;
  readonly attempt: number;
  /** `{value}`; empty when the step has none. */
  readonly value: string;
  /** Name of the fan-out input in `directory`; empty when the step has none. */
  readonly item: string;
  /** The unit's part of its step's list of files, in order; they are in `directory`. Empty when the step has none. */
  readonly files: readonly File[];
  readonly task: Task;
  readonly demand: Demand;
  readonly limits: Limits;
  /** What failed in the step that this one stands in for, in one line; undefined where it stands in for none. */
  readonly because?: string | undefined;
  /** GPUs reserved for this attempt, by id. */
  readonly gpuIds: readonly string[];
  /** Absolute path of the attempt's own directory; the inputs are in it, under their names. */
  readonly directory: string;
}

export interface ProcessRequest {
  /** Program, looked up on PATH. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Beyond PATH, HOME=cwd, TMPDIR=cwd, LANG and LC_ALL: nothing else is there. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Each line of standard output; when absent, standard output goes to the unit's log. */
  readonly onStdoutLine?: (line: string) => void;
  /** Each line of standard error, besides going to the unit's log. */
  readonly onStderrLine?: (line: string) => void;
  /** Called now and then while it, or what came of it, uses a fair part of a processor core. */
  readonly onBusy?: () => void;
  /** Ends this process alone, as the attempt's signal does; its result tells how it ended. */
  readonly signal?: AbortSignal;
  /** Of private memory, beyond which it gets none; where the machine has prlimit. */
  readonly memoryBytes?: number;
  /** Standard error is kept out of the unit's log. */
  readonly quiet?: boolean;
  /** It writes into pipes that are there, and makes no file: its folder is shown to it as one that is only read. */
  readonly readsOnly?: boolean;
}

export interface ProcessResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Last lines of each stream, at most 50, oldest first. */
  readonly stdoutTail: readonly string[];
  readonly stderrTail: readonly string[];
  /** Highest resident memory seen over it and its descendants, in bytes; 0 when unknown. */
  readonly peakRamBytes: number;
  /** Most memory seen on any one GPU, in bytes; 0 when unknown. */
  readonly peakVramBytes: number;
  /** Set when it was ended for the memory that it took. */
  readonly memoryEnd: MemoryEnd | null;
}

/** What a runner may do to the world, bound to one attempt. */
export interface RunnerContext {
  /** Aborted on cancel, time-out or shutdown; processes are ended by `run` itself. */
  readonly signal: AbortSignal;
  /** `fraction` 0 to 1; `counter` only ever grows (frames, bytes, units of work). */
  progress(fraction: number, counter: number, note: string): void;
  /** A line for the unit's log. */
  log(line: string): void;
  /**
   * Runs a process in its own group and waits for it and its descendants. Ends it TERM → grace →
   * KILL when `signal` aborts. Rejects with FurrowError (reason TOOL_MISSING) when the program is
   * not there, and with the signal's reason when aborted.
   */
  run(request: ProcessRequest): Promise<ProcessResult>;
  /**
   * Lends a process that holds a model, for as long as the attempt lasts; use `throughModel` for pictures.
   * Throws WorkRefused, FurrowError (TOOL_MISSING), and the signal's reason when aborted.
   */
  lendModel(request: ModelRequest): Promise<LentModel>;
}

export interface Runner {
  /** The task this runner knows, such as `command`. */
  readonly kind: NonNullable<Task['kind']>['$case'];
  /** False when it touches no files: unless its step names some, `directory` is empty. Default true. */
  readonly needsDirectory?: boolean;
  /** True when it lends a model: what idles of that model stays for it. */
  readonly usesModel?: boolean;
  run(work: UnitWork, context: RunnerContext): Promise<RunOutcome>;
}
