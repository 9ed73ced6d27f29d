/**
 * One process that holds a model: started in a folder of its own, told commands one at a time, and ended. It
 * is a process like those of units (see `start-process.ts`), in a sandbox where there is one, for models are
 * strangers' files. Whatever it allocates goes when it ends, and it has nothing to save: it is killed.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FurrowError } from '../../kit/furrow-error.ts';
import { LineSplitter } from '../process/line-splitter.ts';
import { readOomKills } from '../process/oom-kills.ts';
import { endTree, type ProcessTree } from '../process/process-tree.ts';
import { type ProcessHost, startProcess } from '../process/start-process.ts';
import type { ModelCommand, WorkerAnswer } from './model-work.ts';
import { NO_TELEMETRY } from './no-telemetry.ts';
import { makeWorkerFolder, MODEL_FILE, wakePipes, workerReads } from './worker-files.ts';

/** A line of results is some kilobytes; one of a broken worker may be anything. */
const LONGEST_ANSWER = 1024 * 1024;
/** A runtime that dies of memory says so, and then prints its stack. */
const TAIL_LINES = 50;

export interface WorkerOptions {
  readonly host: ProcessHost;
  /** The script that it runs. */
  readonly program: string;
  /** Its own; made, and removed with it. */
  readonly folder: string;
  readonly modelPath: string;
  readonly gpuIds: readonly string[];
}

/** How a command ended. */
export type CommandEnd =
  | Extract<WorkerAnswer, { readonly event: 'loaded' | 'done' | 'failed' }>
  | { readonly event: 'died'; readonly death: WorkerDeath };

export interface WorkerDeath {
  /** Such as `signal SIGKILL` or `exit 1`. */
  readonly how: string;
  /** The kernel killed something for want of memory meanwhile, and this was killed. */
  readonly byKernel: boolean;
  /** Last lines of its standard error. */
  readonly lines: readonly string[];
}

interface Waiting {
  readonly onTold: (told: WorkerAnswer) => void;
  readonly settle: (end: CommandEnd) => void;
}

export class WorkerProcess {
  readonly #options: WorkerOptions;
  readonly #child: ChildProcess;
  readonly #tree: ProcessTree;
  readonly #oomKillsBefore = readOomKills();
  readonly #stderr: string[] = [];
  #waiting: Waiting | null = null;
  #death: WorkerDeath | null = null;
  #ending: Promise<void> | null = null;
  /** Resolves when it is gone, by whomever. */
  readonly gone: Promise<void>;

  private constructor(options: WorkerOptions, child: ChildProcess, tree: ProcessTree) {
    this.#options = options;
    this.#child = child;
    this.#tree = tree;
    const answers = new LineSplitter((line) => this.#heard(line), LONGEST_ANSWER);
    child.stdout?.on('data', (bytes: Uint8Array) => answers.push(bytes));
    const complaints = new LineSplitter((line) => this.#complained(line));
    child.stderr?.on('data', (bytes: Uint8Array) => complaints.push(bytes));
    // A pipe that breaks is told by the process's end.
    for (const stream of [child.stdin, child.stdout, child.stderr]) {
      stream?.on('error', () => undefined);
    }
    this.gone = this.#untilGone();
  }

  /** FurrowError: TOOL_MISSING, SPAWN_FAILED, or what the disk says. */
  static async start(options: WorkerOptions): Promise<WorkerProcess> {
    const { host, program, folder, modelPath, gpuIds } = options;
    try {
      await makeWorkerFolder(folder, modelPath);
      const { child, tree } = await startProcess(
        host,
        process.execPath,
        {
          program: 'node',
          // The collector is called after each large picture: nothing else tells it of their memory.
          args: ['--expose-gc', program],
          cwd: folder,
          environment: { ...NO_TELEMETRY, CUDA_VISIBLE_DEVICES: gpuIds.join(',') },
          hasInput: true,
        },
        {
          directory: folder,
          temporary: null,
          readOnly: [join(folder, MODEL_FILE)],
          network: false,
          hasGpus: gpuIds.length > 0,
          shown: workerReads(program),
        },
      );
      host.sampler.watch(tree.pid);
      return new WorkerProcess(options, child, tree);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Also the id of its group. */
  get pid(): number {
    return this.#tree.pid;
  }

  get folder(): string {
    return this.#options.folder;
  }

  get isAlive(): boolean {
    return this.#death === null && this.#ending === null;
  }

  /** `onTold` gets what it says meanwhile. Never rejects. */
  async command(
    command: ModelCommand,
    onTold: (told: WorkerAnswer) => void = () => undefined,
  ): Promise<CommandEnd> {
    if (this.#death !== null) return { event: 'died', death: this.#death };
    return new Promise((settle) => {
      this.#waiting = { onTold, settle };
      this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    });
  }

  /** See `wakePipes`. */
  wakeWaiting(): void {
    wakePipes(this.folder);
  }

  /** At once. Resolves when its memory is back; FurrowError PROCESS_SURVIVES when it does not end. */
  async end(): Promise<void> {
    const ended = endTree(this.#tree, 0);
    this.#ending ??= this.gone;
    if (await ended) return this.gone;
    const message =
      'the process of a model does not end even when killed: it hangs in the kernel; restart the machine';
    throw new FurrowError('internal', 'PROCESS_SURVIVES', message);
  }

  #heard(line: string): void {
    const answer = parseAnswer(line);
    const waiting = this.#waiting;
    // Libraries may print, too.
    if (answer === null || waiting === null) return;
    if (answer.event === 'loaded' || answer.event === 'done' || answer.event === 'failed') {
      this.#waiting = null;
      waiting.settle(answer);
    } else waiting.onTold(answer);
  }

  #complained(line: string): void {
    this.#stderr.push(line);
    if (this.#stderr.length > TAIL_LINES) this.#stderr.shift();
  }

  async #untilGone(): Promise<void> {
    const child = this.#child;
    const isOver = child.exitCode !== null || child.signalCode !== null;
    // Its pipes are read to their ends: what it said last tells why.
    if (!isOver || child.stdout?.readableEnded === false) await once(child, 'close');
    const { exitCode, signalCode } = child;
    this.#death = {
      how: signalCode === null ? `exit ${exitCode}` : `signal ${signalCode}`,
      byKernel: signalCode === 'SIGKILL' && readOomKills() > this.#oomKillsBefore,
      lines: this.#stderr,
    };
    const { records, sampler } = this.#options.host;
    sampler.forget(this.pid);
    await endTree(this.#tree, 0);
    records.remove(this.#tree);
    // What cannot be removed now goes at the next start.
    await rm(this.folder, { recursive: true, force: true }).catch(() => undefined);
    this.#waiting?.settle({ event: 'died', death: this.#death });
    this.#waiting = null;
  }
}

function parseAnswer(line: string): WorkerAnswer | null {
  if (!line.startsWith('{"event":')) return null;
  try {
    return JSON.parse(line) as WorkerAnswer;
  } catch {
    return null;
  }
}
