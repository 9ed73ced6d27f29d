/** With which frames of a source its pieces begin, by what the task asks for and by what the index tells. */
import type { SplitTask } from '../../../proto/gen/furrow/v1/task.ts';
import { findScenes } from './find-scenes.ts';
import { frameWork, keyframesOf, likelyScenes } from './frame-work.ts';
import type { FilmAttempt } from './film-runner.ts';
import type { CutSource } from './piece-cut.ts';
import { piecesOfLength, planPieces, type PieceLimits } from './plan-pieces.ts';
import type { Timeline } from './retime.ts';
import { pieceStarts, secondsOf } from './timeline.ts';

const DEFAULT_PIECE_MS = 10_000;

/** An attempt may leave 4,000 outputs; a very long film gets longer pieces instead. */
const MAX_PIECES = 3000;

/**
 * Starting a piece's programs, moving its bytes, and the keyframe that it begins with must be little beside its
 * encoding: so many pixels of a film make a piece that is worth it.
 */
const WORTHWHILE_PIXELS = 100e6;
const OVERHEAD_PIXELS = 6e6;

/** Whatever the pixels are. Less is seldom one scene; more is much to lose with an agent. */
const SHORTEST_SECONDS = 2;
const LONGEST_SECONDS = 10;

/** A long piece, in times of the shortest. */
const LENGTHS = 4;

/** A source, and how many pixels its picture has. */
export type SizedSource = CutSource & { readonly pixels: number };

/** `onFrames`: how many were looked at, where scenes are looked for. Throws FilmFault. */
export async function findStarts(
  { media, work, task, context }: FilmAttempt<SplitTask>,
  source: SizedSource,
  timeline: Timeline,
  onFrames: (frames: number) => void,
): Promise<readonly number[]> {
  const { times } = timeline;
  const { unitsAtOnce = 0 } = task;
  const byScene = task.pieceBy === 'scene';
  if (!byScene && unitsAtOnce === 0) return startsByTime(task, source, times);
  const keyframes = keyframesOf(source.packets, times);
  const scenes = byScene
    ? await findScenes(media, work.directory, source, times, onFrames)
    : likelyScenes(keyframes);
  if (byScene) context.log(`${source.name}: the scene changes ${scenes.length} times`);
  const film = { work: frameWork(source.packets, times), keyframes, scenes };
  const frameSeconds = secondsOf(times.at(-1)! - times[0]!, source.timeBase) / times.length;
  if (unitsAtOnce > 0)
    return planPieces(film, pieceLimits(source.pixels, frameSeconds, task, times), byScene);
  const seconds = (task.pieceMs || DEFAULT_PIECE_MS) / 1000;
  const frames = Math.max(seconds / frameSeconds, times.length / MAX_PIECES);
  return piecesOfLength(film, frames);
}

function startsByTime(
  { pieceMs }: SplitTask,
  { timeBase, packets }: CutSource,
  times: readonly number[],
): number[] {
  const keyTimes = packets
    .filter((packet) => packet.key && !packet.discarded)
    .map((packet) => packet.pts!)
    .sort((a, b) => a - b);
  const shortest = (times.at(-1)! - times[0]!) / MAX_PIECES;
  const wantedMs = pieceMs > 0 ? pieceMs : DEFAULT_PIECE_MS;
  const pieceTicks = Math.max((wantedMs * timeBase.den) / (1000 * timeBase.num), shortest);
  return pieceStarts(times, keyTimes, pieceTicks);
}

function pieceLimits(
  pixels: number,
  frameSeconds: number,
  { unitsAtOnce = 1 }: SplitTask,
  times: readonly number[],
): PieceLimits {
  const framesIn = (seconds: number): number =>
    frameSeconds > 0 ? seconds / frameSeconds : times.length;
  const worthwhile = Math.min(
    framesIn(LONGEST_SECONDS),
    Math.max(framesIn(SHORTEST_SECONDS), WORTHWHILE_PIXELS / Math.max(1, pixels)),
  );
  const shortestFrames = Math.max(1, Math.ceil(worthwhile), Math.ceil(times.length / MAX_PIECES));
  return {
    unitsAtOnce,
    shortestFrames,
    longestFrames: Math.max(Math.ceil(framesIn(LONGEST_SECONDS)), LENGTHS * shortestFrames),
    overheadFrames: OVERHEAD_PIXELS / Math.max(1, pixels),
  };
}
