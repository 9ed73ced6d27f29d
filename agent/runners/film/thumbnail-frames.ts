/**
 * Takes single frames out of a film, scaled and upright. Each is sought, which costs the decoding of one group
 * of pictures, and its time is read back: where a container's seeks land elsewhere, or its clock cannot be
 * trusted, the film is decoded once from its start and frames are counted.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { anyOf } from './any-of.ts';
import { BYTES_A_PIXEL, type Canvas } from './canvas.ts';
import { FilmFault, processFault } from './film-fault.ts';
import type { FilmAttempt } from './film-runner.ts';
import { decodeLimitMs } from './media-limits.ts';
import { formatUs, secondsOf, type TimeBase } from './timeline.ts';

/** A film whose frames are known by number; `times` in ticks, absent where the clock cannot be trusted. */
export interface FrameSource {
  readonly name: string;
  readonly stream: number;
  readonly timeBase: TimeBase;
  readonly times: readonly number[] | undefined;
  readonly frames: number;
  /** Of its picture, for how long decoding may take. */
  readonly pixels: number;
}

export interface FrameShape {
  readonly width: number;
  readonly height: number;
  /** From the decoded frame to one of that size. */
  readonly filters: readonly string[];
}

const RAW = 'thumbnail.yuv';
const WHEN = 'thumbnail-time.txt';

/** So many frames are counted out of one pass. */
const FRAMES_A_PASS = 200;

/** For each of the frames, by number, its picture. Calls `took` with how many there are so far. */
export async function takeFrames(
  attempt: FilmAttempt<unknown>,
  source: FrameSource,
  frames: readonly number[],
  shape: FrameShape,
  took: (count: number) => void,
): Promise<ReadonlyMap<number, Canvas>> {
  const wanted = [...new Set(frames)].sort((a, b) => a - b);
  const pictures = new Map<number, Canvas>();
  const { times } = source;
  if (times !== undefined) {
    for (const frame of wanted) {
      const picture = await seekFrame(attempt, source, times, frame, shape);
      if (picture === undefined) break;
      pictures.set(frame, picture);
      took(pictures.size);
    }
  }
  const missing = wanted.filter((frame) => !pictures.has(frame));
  if (missing.length > 0 && times !== undefined) {
    attempt.context.log(`${source.name}: seeks land elsewhere; its frames are counted instead`);
  }
  for (let from = 0; from < missing.length; from += FRAMES_A_PASS) {
    const some = missing.slice(from, from + FRAMES_A_PASS);
    for (const [i, picture] of (await countFrames(attempt, source, some, shape)).entries()) {
      pictures.set(some[i]!, picture);
    }
    took(pictures.size);
  }
  return pictures;
}

/** Undefined when it is not the frame that comes. */
async function seekFrame(
  { media, work }: FilmAttempt<unknown>,
  source: FrameSource,
  times: readonly number[],
  frame: number,
  shape: FrameShape,
): Promise<Canvas | undefined> {
  const at = Math.round(secondsOf(times[frame]!, source.timeBase) * 1e6);
  const before = frame === 0 ? undefined : secondsOf(times[frame - 1]!, source.timeBase) * 1e6;
  // Between the frame before and this one, so that rounding cannot choose another.
  const seek = before === undefined ? [] : ['-ss', formatUs(Math.round((before + at) / 2))];
  const base = `${source.timeBase.num}/${source.timeBase.den}`;
  const graph = `[0:${source.stream}]split[a][b];[a]${shape.filters.join(',')}[picture];[b]scale=16:16[time]`;
  const once = ['-fps_mode', 'passthrough', '-enc_time_base', base, '-frames:v', '1'];
  const run = await media.ffmpeg(
    [{ name: source.name, options: ['-noautorotate', '-seek_timestamp', '1', ...seek, '-copyts'] }],
    [
      {
        name: { file: RAW },
        options: ['-filter_complex', graph, '-map', '[picture]', ...once, '-f', 'rawvideo'],
      },
      { name: { file: WHEN }, options: ['-map', '[time]', ...once, '-f', 'framecrc'] },
    ],
    undefined,
    { limitMs: decodeLimitMs(1000, source.pixels) },
  );
  if (!run.ok && run.result.exitCode === null) throw processFault(run, `a frame of ${source.name}`);
  const said = await readFile(join(work.directory, WHEN), 'utf8').catch(() => '');
  const line = said.split('\n').find((each) => each !== '' && !each.startsWith('#'));
  const [picture] = await takeRaw(work.directory, shape);
  await rm(join(work.directory, WHEN), { force: true });
  return Number(line?.split(',')[2]) === times[frame] ? picture : undefined;
}

/** Decodes from the start and keeps these frames, which ascend. */
async function countFrames(
  { media, work, context }: FilmAttempt<unknown>,
  source: FrameSource,
  frames: readonly number[],
  shape: FrameShape,
): Promise<Canvas[]> {
  const chosen = anyOf(frames.map((frame) => `eq(n\\,${frame})`));
  const graph = `[0:${source.stream}]select='${chosen}',${shape.filters.join(',')}[picture]`;
  const run = await media.ffmpeg(
    [{ name: source.name, options: ['-noautorotate'] }],
    [
      {
        name: { file: RAW },
        options: [
          ['-filter_complex', graph, '-map', '[picture]', '-fps_mode', 'passthrough'],
          ['-frames:v', String(frames.length), '-f', 'rawvideo'],
        ].flat(),
      },
    ],
    ({ outTimeUs }) => context.progress(0.1, Math.max(0, outTimeUs), 'decoding'),
    { limitMs: decodeLimitMs(source.frames, source.pixels) },
  );
  if (!run.ok) throw processFault(run, `frames of ${source.name}`);
  const pictures = await takeRaw(work.directory, shape);
  if (pictures.length === frames.length) return pictures;
  const message = `${source.name}: ${frames.length - pictures.length} of ${frames.length} frames cannot be decoded`;
  throw new FilmFault('invalid-input', `${message}; it may be damaged`);
}

async function takeRaw(directory: string, { width, height }: FrameShape): Promise<Canvas[]> {
  const path = join(directory, RAW);
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  await rm(path, { force: true });
  const size = width * height * BYTES_A_PIXEL;
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => ({
    width,
    height,
    planes: bytes.subarray(i * size, (i + 1) * size),
  }));
}
