/**
 * Decodes a unit's pictures into the model's pipe: one ffmpeg for all of one kind, which is many times as fast as
 * one for each. They may have any size: each is scaled to the model's before it goes into the pipe. One that cannot
 * be decoded is left out, with its reason; one that ends ffmpeg itself, too, and the rest is begun anew.
 */
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { inputFence, MAX_PIXELS, MEMORY_FENCE } from '../../../kit/film-fence.ts';
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import { PIPE_IN } from '../../models/model-work.ts';
import { FilmFault } from '../film/film-fault.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import type { RunnerContext } from '../runner.ts';
import { holdPipe } from './hold-pipe.ts';
import { fitFilter, modelPixels, type PictureSize } from './picture-fit.ts';
import { PICTURE_DECODERS, type PictureKind } from './picture-kind.ts';
import { PictureLog } from './picture-log.ts';

/** A picture of the unit's, by its place among them. */
export interface Picture {
  readonly index: number;
  /** In the unit's directory. */
  readonly name: string;
  readonly kind: PictureKind;
}

export interface FedPictures {
  /** In the order in which they went into the pipe. */
  readonly fed: readonly (PictureSize & { readonly index: number })[];
  /** By place: why one is not among them. */
  readonly lost: ReadonlyMap<number, string>;
}

/** Pictures under names of ours; taken away again. */
const FOLDER = 'furrow-pictures';

/** Throws FilmFault where not one picture is the cause; what the signal says when aborted. */
export async function feedPictures(
  context: RunnerContext,
  directory: string,
  manifest: ModelManifest,
  pictures: readonly Picture[],
  signal: AbortSignal,
): Promise<FedPictures> {
  const fed: (PictureSize & { index: number })[] = [];
  const lost = new Map<number, string>();
  // Held open: the model's process must not see an end between one ffmpeg and the next.
  const held = await holdPipe(join(directory, PIPE_IN), signal);
  try {
    for (const some of byKind(pictures)) {
      const feed = new KindFeed(context, directory, manifest, signal);
      for (let left = some; left.length > 0;) left = await feed.decode(left, fed, lost);
      feed.refuseIfNoneCame(some.length);
    }
  } finally {
    await held.close();
  }
  return { fed, lost };
}

function byKind(pictures: readonly Picture[]): readonly (readonly Picture[])[] {
  const kinds = new Set(pictures.map(({ kind }) => kind));
  return [...kinds].map((kind) => pictures.filter((picture) => picture.kind === kind));
}

class KindFeed {
  readonly #context: RunnerContext;
  readonly #directory: string;
  readonly #manifest: ModelManifest;
  readonly #signal: AbortSignal;
  #crashes = 0;
  #lastCrash = '';

  constructor(
    context: RunnerContext,
    directory: string,
    manifest: ModelManifest,
    signal: AbortSignal,
  ) {
    this.#context = context;
    this.#directory = directory;
    this.#manifest = manifest;
    this.#signal = signal;
  }

  /** Answers what is left to decode: what came after one that ended ffmpeg. */
  async decode(
    pictures: readonly Picture[],
    fed: (PictureSize & { index: number })[],
    lost: Map<number, string>,
  ): Promise<readonly Picture[]> {
    const log = new PictureLog();
    const exit = await this.#run(pictures, log);
    let next = 0;
    log.decoded.forEach(({ pts, width, height }, count) => {
      for (const position of range(next, pts)) {
        lost.set(pictures[position]!.index, log.reasonOf(count, position - next));
      }
      fed.push({ index: pictures[pts]!.index, width, height });
      next = pts + 1;
    });
    // It read them all, or ended at the next one.
    const end = exit === undefined ? pictures.length : Math.min(next + 1, pictures.length);
    for (const position of range(next, end)) {
      const reason = log.reasonOf(log.decoded.length, position - next);
      lost.set(pictures[position]!.index, exit === undefined ? reason : `${reason} (${exit})`);
    }
    if (exit !== undefined && next < pictures.length) {
      this.#crashes += 1;
      this.#lastCrash = `${exit}: ${log.lastLine}`;
    }
    return pictures.slice(end);
  }

  /** All alike: it is not the pictures. */
  refuseIfNoneCame(pictures: number): void {
    if (this.#crashes < pictures || pictures < 2) return;
    throw new FilmFault(
      'failed',
      `ffmpeg ends at every picture, the last time with ${this.#lastCrash}`,
    );
  }

  /** Answers how it ended, if not well. */
  async #run(pictures: readonly Picture[], log: PictureLog): Promise<string | undefined> {
    const folder = join(this.#directory, FOLDER);
    await mkdir(folder);
    const { kind } = pictures[0]!;
    for (const [number, { name }] of pictures.entries()) {
      const link = join(folder, `${String(number).padStart(8, '0')}.${kind}`);
      await symlink(relative(folder, join(this.#directory, name)), link);
    }
    const late = AbortSignal.timeout(decodeLimitMs(pictures.length, MAX_PIXELS));
    try {
      const { exitCode, signal } = await this.#context.run({
        program: 'ffmpeg',
        args: argvFor(kind, this.#manifest),
        cwd: this.#directory,
        signal: AbortSignal.any([late, this.#signal]),
        quiet: true,
        onStdoutLine: () => undefined,
        onStderrLine: (line) => log.take(line),
      });
      this.#signal.throwIfAborted();
      if (late.aborted) return 'it takes too long';
      if (exitCode === 0) return undefined;
      return exitCode === null ? `signal ${signal}` : `exit ${exitCode}`;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** The reader of numbered pictures alone, and decoders of pictures alone: neither opens anything else. */
function argvFor(kind: PictureKind, manifest: ModelManifest): string[] {
  return [
    ['-nostdin', '-hide_banner', '-loglevel', 'info', '-nostats', '-y', ...MEMORY_FENCE],
    ['-filter_threads', '1', ...inputFence(['image2'])],
    ['-codec_whitelist', PICTURE_DECODERS.join(','), '-threads', '1', '-err_detect', 'explode'],
    ['-f', 'image2', '-pattern_type', 'sequence', '-start_number', '0', '-framerate', '1'],
    ['-i', `file:${FOLDER}/%08d.${kind}`, '-map', '0:v:0'],
    ['-vf', `showinfo=checksum=0,${fitFilter(manifest)}`, '-fps_mode', 'passthrough'],
    ['-f', 'rawvideo', '-pix_fmt', modelPixels(manifest), `file:${PIPE_IN}`],
  ].flat();
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, offset) => from + offset);
}
