/**
 * Runs ffmpeg and ffprobe for one attempt and says what their end means. The exit code alone is never
 * trusted: a damaged input exits 0, so that callers verify frames.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessResult, RunnerContext, UnitWork } from '../runner.ts';
import { ffmpegArgv, ffprobeArgv, type MediaInput, type MediaOutput } from './ffmpeg-argv.ts';
import { progressReader, type ProgressBlock } from './progress-lines.ts';

/** A process that ran to its end, well or not. */
export interface MediaRun {
  readonly result: ProcessResult;
  readonly ok: boolean;
  /** Lines of standard error; at log level `error` each is a complaint. */
  readonly complaints: readonly string[];
}

/** Enough to find the cause; a damaged file can complain once a frame. */
const MAX_COMPLAINTS = 200;

export class MediaProcess {
  readonly #work: UnitWork;
  readonly #context: RunnerContext;

  constructor(work: UnitWork, context: RunnerContext) {
    this.#work = work;
    this.#context = context;
  }

  /** Runs ffmpeg; with `onProgress`, its blocks are reported. */
  async ffmpeg(
    inputs: readonly MediaInput[],
    outputs: readonly MediaOutput[],
    onProgress?: (block: ProgressBlock) => void,
  ): Promise<MediaRun> {
    const progress = onProgress !== undefined;
    const args = ffmpegArgv(inputs, outputs, { progress, threads: bookedThreads(this.#work) });
    return this.#run(
      'ffmpeg',
      args,
      onProgress === undefined ? ignore : progressReader(onProgress),
    );
  }

  /** Runs ffmpeg with one output that prints lines, such as framehash. */
  async ffmpegLines(
    inputs: readonly MediaInput[],
    options: readonly string[],
    onLine: (line: string) => void,
  ): Promise<MediaRun> {
    const argv = { progress: false, threads: bookedThreads(this.#work) };
    return this.#run('ffmpeg', ffmpegArgv(inputs, [{ name: 'stdout', options }], argv), onLine);
  }

  /** Runs ffprobe, line by line. */
  async ffprobeLines(
    name: string,
    options: readonly string[],
    onLine: (line: string) => void,
  ): Promise<MediaRun> {
    return this.#run('ffprobe', ffprobeArgv(name, options), onLine);
  }

  /** Runs ffprobe and parses its JSON; `undefined` when there is none. */
  async ffprobeJson(
    name: string,
    options: readonly string[],
  ): Promise<{ readonly run: MediaRun; readonly json: unknown }> {
    const lines: string[] = [];
    const run = await this.ffprobeLines(name, ['-of', 'json', ...options], (line) =>
      lines.push(line),
    );
    return { run, json: run.ok ? JSON.parse(lines.join('\n')) : undefined };
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

  async #run(
    program: string,
    args: readonly string[],
    onStdoutLine: (line: string) => void,
  ): Promise<MediaRun> {
    const complaints: string[] = [];
    const result = await this.#context.run({
      program,
      args,
      cwd: this.#work.directory,
      onStdoutLine,
      onStderrLine: (line) => {
        if (complaints.length < MAX_COMPLAINTS && line.trim() !== '') complaints.push(line.trim());
      },
    });
    return { result, ok: result.exitCode === 0, complaints };
  }
}

/** Whole CPUs that the unit has booked. */
export function bookedThreads(work: UnitWork): number {
  return Math.max(1, Math.floor(work.demand.cpuMillis / 1000));
}

const ignore = (): void => undefined;
