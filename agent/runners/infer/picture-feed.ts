/**
 * Decodes a unit's pictures into the model's pipe: one ffmpeg for all of one kind, which is many times as fast as
 * one for each. They may have any size: each is scaled to the model's before it goes into the pipe. One that cannot
 * be decoded is left out, with its reason.
 */
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { inputFence, MAX_PIXELS, MEMORY_FENCE } from '../../../kit/film-fence.ts';
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import { someAtOnce } from '../../some-at-once.ts';
import { PIPE_IN } from '../../models/model-work.ts';
import { FilmFault } from '../film/film-fault.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import type { RunnerContext } from '../runner.ts';
import { holdPipe } from './hold-pipe.ts';
import { fitFilter, modelPixels, type PictureSize } from './picture-fit.ts';
import { PICTURE_DECODERS, type PictureKind, strictness } from './picture-kind.ts';
import { PictureLog } from './picture-log.ts';
import { type Orientation, UPRIGHT } from './picture-orientation.ts';
import type { KnownPicture } from './read-picture.ts';

/** A picture of the unit's, by its place among them. */
export interface Picture extends KnownPicture {
  readonly index: number;
  /** In the unit's directory. */
  readonly name: string;
}

export interface FedPicture extends PictureSize {
  readonly index: number;
}

export interface FedPictures {
  /** In the order in which they went into the pipe. */
  readonly fed: readonly FedPicture[];
  /** By place: why one is not among them. */
  readonly lost: ReadonlyMap<number, string>;
}

/** One that ends ffmpeg itself: what is in the pipe by then may be half a picture, and all begins anew without it. */
export class PictureCrash extends Error {
  override readonly name = 'PictureCrash';
  readonly index: number;

  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

/** What feeding needs besides the pictures. */
export interface Feeding {
  readonly context: RunnerContext;
  readonly directory: string;
  readonly manifest: ModelManifest;
  readonly signal: AbortSignal;
}

/** Pictures under names of ours; taken away again. */
const FOLDER = 'furrow-pictures';
const LINKS_AT_ONCE = 16;

/** Throws PictureCrash; FilmFault where no picture is the cause; what the signal says when aborted. */
export async function feedPictures(
  feeding: Feeding,
  pictures: readonly Picture[],
): Promise<FedPictures> {
  const fed: FedPicture[] = [];
  const lost = new Map<number, string>();
  // Held open: the model's process must not see an end between one ffmpeg and the next.
  const held = await holdPipe(join(feeding.directory, PIPE_IN), feeding.signal);
  try {
    for (const some of alike(pictures)) {
      const part = await feedAlike(feeding, some);
      fed.push(...part.fed);
      for (const [index, reason] of part.lost) lost.set(index, reason);
    }
  } finally {
    await held.close();
  }
  return { fed, lost };
}

/** Those that one ffmpeg can decode: of one kind, and held alike. */
function alike(pictures: readonly Picture[]): readonly (readonly Picture[])[] {
  const keyOf = ({ kind, orientation, layout }: Picture): string =>
    `${kind} ${orientation} ${layout}`;
  const keys = new Set(pictures.map(keyOf));
  return [...keys].map((key) => pictures.filter((picture) => keyOf(picture) === key));
}

/** Decodes pictures that are alike into the pipe. Throws PictureCrash, FilmFault. */
async function feedAlike(feeding: Feeding, pictures: readonly Picture[]): Promise<FedPictures> {
  const log = new PictureLog();
  const exit = await decode(feeding, pictures, log);
  const fed: FedPicture[] = [];
  const lost = new Map<number, string>();
  let next = 0;
  log.decoded.forEach(({ pts, width, height }, count) => {
    for (const position of range(next, pts)) {
      lost.set(pictures[position]!.index, log.reasonOf(count, position - next));
    }
    fed.push({ index: pictures[pts]!.index, width, height });
    next = pts + 1;
  });
  // It ends badly as well where there is no good one after the last bad ones.
  const culprit = pictures[next + log.lostSince];
  if (exit !== undefined && culprit !== undefined) {
    throw new PictureCrash(
      culprit.index,
      `${log.reasonOf(log.decoded.length, log.lostSince)} (${exit})`,
    );
  }
  for (const position of range(next, pictures.length)) {
    lost.set(pictures[position]!.index, log.reasonOf(log.decoded.length, position - next));
  }
  return { fed, lost };
}

/** Answers how ffmpeg ended, if not well. */
async function decode(
  { context, directory, manifest, signal }: Feeding,
  pictures: readonly Picture[],
  log: PictureLog,
): Promise<string | undefined> {
  const folder = join(directory, FOLDER);
  await mkdir(folder);
  const { kind, orientation } = pictures[0]!;
  await someAtOnce([...pictures.entries()], LINKS_AT_ONCE, async ([number, { name }]) => {
    const link = join(folder, `${String(number).padStart(8, '0')}.${kind}`);
    await symlink(relative(folder, join(directory, name)), link);
  });
  const late = AbortSignal.timeout(decodeLimitMs(pictures.length, MAX_PIXELS));
  try {
    const { exitCode, signal: by } = await context.run({
      program: 'ffmpeg',
      args: argvFor(kind, orientation, manifest),
      cwd: directory,
      signal: AbortSignal.any([late, signal]),
      quiet: true,
      readsOnly: true,
      onStdoutLine: () => undefined,
      onStderrLine: (line) => log.take(line),
    });
    signal.throwIfAborted();
    if (late.aborted) return 'it takes too long';
    if (exitCode === 0) return undefined;
    if (log.machineFault !== '') throw new FilmFault('infrastructure', log.machineFault);
    return exitCode === null ? `signal ${by}` : `exit ${exitCode}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Two pictures that are lost for the same reason are told of twice, not as one that was repeated. */
const EACH_LINE = ['-loglevel', 'repeat+info'];

/** The reader of numbered pictures alone, and decoders of pictures alone: neither opens anything else. */
function argvFor(kind: PictureKind, orientation: Orientation, manifest: ModelManifest): string[] {
  const filters = [...UPRIGHT[orientation], 'showinfo=checksum=0', fitFilter(manifest)];
  return [
    ['-nostdin', '-hide_banner', ...EACH_LINE, '-nostats', '-y', ...MEMORY_FENCE],
    ['-filter_threads', '1', ...inputFence(['image2'])],
    ['-codec_whitelist', PICTURE_DECODERS.join(','), '-threads', '1', ...strictness(kind)],
    ['-f', 'image2', '-pattern_type', 'sequence', '-start_number', '0', '-framerate', '1'],
    ['-noautorotate'],
    ['-i', `file:${FOLDER}/%08d.${kind}`, '-map', '0:v:0'],
    ['-vf', filters.join(','), '-fps_mode', 'passthrough'],
    ['-f', 'rawvideo', '-pix_fmt', modelPixels(manifest), `file:${PIPE_IN}`],
  ].flat();
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, offset) => from + offset);
}
