/**
 * Runs ffmpeg and ffprobe for one attempt and says what their end means. The exit code alone is never
 * trusted: a damaged input exits 0, so that callers verify frames. None runs longer than its limit.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessRequest, ProcessResult, RunnerContext, UnitWork } from '../runner.ts';
import { ffmpegArgv, ffprobeArgv, type MediaInput, type MediaOutput } from './ffmpeg-argv.ts';
import { FilmFault } from './film-fault.ts';
import { LOOK_LIMIT_MS, LOOK_MEMORY_BYTES, readLimitMs } from './media-limits.ts';
import { progressReader, type ProgressBlock } from './progress-lines.ts';
import { UntrustedInputs } from './untrusted-input.ts';

/** A process that ran to its end, well or not. */
export interface MediaRun {
  readonly result: ProcessResult;
  readonly ok: boolean;
  /** Lines of standard error; at log level `error` each is a complaint. */
  readonly complaints: readonly string[];
}

export interface RunLimits {
  /** How long it may run; default: what a look, or a pass over the bytes of its inputs, may take. */
  readonly limitMs?: number;
  /** It only looks into its input: little time, bounded memory, and beyond that the file is to blame. */
  readonly look?: boolean;
  /** Ends it before its time. */
  readonly signal?: AbortSignal;
  /** For ffprobe: the file may be one of sound alone. */
  readonly sound?: boolean;
}

/** Enough to find the cause; a damaged file can complain once a frame. */
const MAX_COMPLAINTS = 200;

/** What a timer can hold: 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

type MediaRequest = Pick<ProcessRequest, 'program' | 'args'> & {
  readonly onStdoutLine: (line: string) => void;
};

export class MediaProcess {
  readonly #work: UnitWork;
  readonly #context: RunnerContext;
  readonly #inputs: UntrustedInputs;

  constructor(work: UnitWork, context: RunnerContext) {
    this.#work = work;
    this.#context = context;
    this.#inputs = new UntrustedInputs(work.directory);
  }

  async close(): Promise<void> {
    await this.#inputs.close();
  }

  /** Runs ffmpeg; with `onProgress`, its blocks are reported. */
  async ffmpeg(
    inputs: readonly MediaInput[],
    outputs: readonly MediaOutput[],
    onProgress?: (block: ProgressBlock) => void,
    limits: RunLimits = {},
  ): Promise<MediaRun> {
    const options = { progress: onProgress !== undefined, threads: bookedThreads(this.#work) };
    const onStdoutLine = onProgress === undefined ? ignore : progressReader(onProgress);
    const args = (opened: readonly MediaInput[]): string[] => ffmpegArgv(opened, outputs, options);
    return this.#opened('ffmpeg', inputs, args, onStdoutLine, limits);
  }

  /** Runs ffmpeg with one output that prints lines, such as framehash, and others besides. */
  async ffmpegLines(
    inputs: readonly MediaInput[],
    options: readonly string[],
    onStdoutLine: (line: string) => void,
    limits: RunLimits = {},
    besides: readonly MediaOutput[] = [],
  ): Promise<MediaRun> {
    const argv = { progress: false, threads: bookedThreads(this.#work) };
    const args = (opened: readonly MediaInput[]): string[] =>
      ffmpegArgv(opened, [{ name: 'stdout', options }, ...besides], argv);
    return this.#opened('ffmpeg', inputs, args, onStdoutLine, limits);
  }

  /** Runs ffprobe, line by line. */
  async ffprobeLines(
    name: string,
    options: readonly string[],
    onStdoutLine: (line: string) => void,
    limits: RunLimits = {},
  ): Promise<MediaRun> {
    const kind = limits.sound === true ? 'sound' : 'film';
    const args = ([opened]: readonly MediaInput[]): string[] =>
      ffprobeArgv(opened!.name, options, kind);
    return this.#opened('ffprobe', [{ name }], args, onStdoutLine, limits);
  }

  /** Looks into a file with ffprobe and parses its JSON; `undefined` when there is none. */
  async ffprobeJson(
    name: string,
    options: readonly string[],
    limits: RunLimits = {},
  ): Promise<{ readonly run: MediaRun; readonly json: unknown }> {
    const lines: string[] = [];
    const onLine = (line: string): unknown => lines.push(line);
    const run = await this.ffprobeLines(name, ['-of', 'json', ...options], onLine, {
      ...limits,
      look: true,
    });
    if (!run.ok) return { run, json: undefined };
    try {
      return { run, json: JSON.parse(lines.join('\n')) };
    } catch {
      // Lines are cut where they are longer than any that we ask for.
      throw new FilmFault('invalid-input', `${name} has a language or title beyond 8000 letters`);
    }
  }

  /** Of a file in the unit's directory; undefined when it is not there. Throws FilmFault where it is no file. */
  sizeOf(name: string): Promise<number | undefined> {
    return this.#inputs.sizeOf(name);
  }

  /** The first bytes of a file in the unit's directory. */
  async firstBytes(name: string, count: number): Promise<Buffer> {
    const file = await open(join(this.#work.directory, name), 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async #opened(
    program: 'ffmpeg' | 'ffprobe',
    inputs: readonly MediaInput[],
    args: (opened: readonly MediaInput[]) => string[],
    onStdoutLine: (line: string) => void,
    limits: RunLimits,
  ): Promise<MediaRun> {
    const opened: MediaInput[] = [];
    let bytes = 0;
    for (const input of inputs) {
      if (input.pipe === true) {
        opened.push(input);
        continue;
      }
      const { alias, sizeBytes } = await this.#inputs.open(input.name);
      opened.push({ ...input, name: alias });
      bytes += sizeBytes;
    }
    const limitMs = limits.limitMs ?? (limits.look === true ? LOOK_LIMIT_MS : readLimitMs(bytes));
    const request = { program, args: args(opened), onStdoutLine };
    const run = await this.#runWithin(request, limitMs, limits);
    if (run !== undefined) return run;
    throw tooSlow(inputs[0]?.name ?? '', limitMs, limits.look === true);
  }

  /** Undefined when it was ended at its limit. */
  async #runWithin(
    request: MediaRequest,
    limitMs: number,
    { look, signal }: RunLimits,
  ): Promise<MediaRun | undefined> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), Math.min(limitMs, LONGEST_TIMER_MS));
    const complaints: string[] = [];
    try {
      const result = await this.#context.run({
        ...request,
        cwd: this.#work.directory,
        signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
        ...(look === true && { memoryBytes: LOOK_MEMORY_BYTES }),
        // A damaged film says the same for each of its frames: the log gets as much as is kept.
        quiet: true,
        onStderrLine: (line) => {
          const said = this.#inputs.inTheirNames(line.trim());
          if (complaints.length >= MAX_COMPLAINTS || said === '') return;
          complaints.push(said);
          this.#context.log(said);
        },
      });
      if (late.signal.aborted) return undefined;
      return { result, ok: result.exitCode === 0, complaints };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A look tells of the file; a pass that is too slow may be the machine's fault as well. */
function tooSlow(name: string, limitMs: number, look: boolean): FilmFault {
  const seconds = Math.round(limitMs / 1000);
  return look
    ? new FilmFault('invalid-input', `${name} takes longer than ${seconds} s to look into`)
    : new FilmFault('timed-out', `reading ${name} took longer than its limit of ${seconds} s`);
}

/** Whole CPUs that the unit has booked. */
export function bookedThreads(work: UnitWork): number {
  return Math.max(1, Math.floor(work.demand.cpuMillis / 1000));
}

const ignore = (): void => undefined;
