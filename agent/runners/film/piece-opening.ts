/**
 * Whether a decoder that begins with a piece shows the piece's first frame. Where pictures are refreshed bit by bit,
 * as drones and live encoders do, packets are marked as keyframes from which a decoder only begins to see: it needs
 * what comes before them.
 */
import { exactTimes } from './piece-graph.ts';
import type { CutSource, PieceClock } from './piece-cut.ts';
import type { MediaProcess } from './media-process.ts';
import { rescale } from './timeline.ts';

/** Codecs in which a point of recovery counts as a keyframe. */
const GRADUAL_CODECS: ReadonlySet<string> = new Set(['h264', 'hevc']);

/** A piece that was cut. */
export interface CutPiece {
  readonly name: string;
  readonly clock: PieceClock;
  /** Of its first frame, in the source. */
  readonly fromPts: number;
}

/** The second, a middle and the last: a film is refreshed in one way throughout. */
export function tellingPieces<T>(pieces: readonly T[]): readonly T[] {
  const { length } = pieces;
  const places = [1, Math.floor(length / 2), length - 1].filter((at) => at > 0 && at < length);
  return [...new Set(places)].map((at) => pieces[at]!);
}

/** Costs decoding until the first frame is there. */
export async function showsItsFirst(
  media: MediaProcess,
  { codec, timeBase }: CutSource,
  { name, clock, fromPts }: CutPiece,
): Promise<boolean> {
  if (codec !== undefined && !GRADUAL_CODECS.has(codec)) return true;
  const wanted = rescale(fromPts, timeBase, clock.timeBase) + clock.shiftTicks;
  const { num, den } = clock.timeBase;
  let first: number | undefined;
  await media.ffmpegLines(
    [{ name, options: ['-noautorotate', '-copyts'] }],
    [
      ['-map', '0:v:0', '-vf', `trim=start_pts=${wanted},scale=16:16`, '-frames:v', '1'],
      [...exactTimes(den, num), '-f', 'framecrc'],
    ].flat(),
    (line) => {
      if (!line.startsWith('#')) first ??= Number(line.split(',')[2]);
    },
  );
  return first === wanted;
}
