/**
 * The frames of a film and of its chunks, by its plan: how many there are and when each is shown. They are
 * the source's own unless the plan says which others the film shall have.
 */
import type { Retime } from '../../../proto/gen/furrow/v1/task.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import {
  retimed,
  retimedBase,
  retimedCount,
  stretchOf,
  type RetimedFrames,
  type Timeline,
} from './retime.ts';
import { unpackTimes, type TimeBase } from './timeline.ts';

/** When the source's frames are shown. */
export function sourceTimeline(plan: FilmPlan): Timeline {
  const { timeBase, lastFrameTicks } = plan;
  return { timeBase, times: unpackTimes(plan.times), lastFrameTicks };
}

/** When the film's frames are shown; its first with the source's first. */
export function filmTimeline(plan: FilmPlan): Timeline {
  return retimedFrames(plan) ?? sourceTimeline(plan);
}

/** Undefined where the film has the source's frames. */
export function retimedFrames(plan: FilmPlan): RetimedFrames | undefined {
  return plan.film === undefined ? undefined : retimed(sourceTimeline(plan), plan.film.retime);
}

export function filmTimeBase(plan: FilmPlan): TimeBase {
  return plan.film === undefined ? plan.timeBase : retimedBase(plan.timeBase, plan.film.retime);
}

/** Frames that the film has. */
export function filmFrameCount(plan: FilmPlan): number {
  return plan.film?.frames ?? plan.frames;
}

/** Which frames of the film each piece becomes. */
export function filmPieces(plan: FilmPlan): PieceFrames[] {
  return plan.pieces.map((piece) => pieceFrames(piece));
}

export function pieceFrames(piece: PlanPiece): PieceFrames {
  const { firstFrame, frames } = piece.film ?? piece;
  return { name: piece.name, firstFrame, frames };
}

export interface PieceFrames {
  readonly name: string;
  /** Index in the film. */
  readonly firstFrame: number;
  readonly frames: number;
}

/** Adds to a plan the frames that its film shall have. Every piece must become a frame at least. */
export function withRetime(plan: FilmPlan, retime: Retime): FilmPlan {
  const source = sourceTimeline(plan);
  const frames = retimed(source, retime);
  const pieces = plan.pieces.map((piece) => ({
    ...piece,
    film: stretchOf(frames, piece.firstFrame, piece.frames),
  }));
  return { ...plan, version: 2, pieces, film: { retime, frames: retimedCount(source, retime) } };
}

/** Frames a second that the film plays at, as a fraction; where they vary, on average. */
export function filmFrameRate({ source, film }: FilmPlan): string {
  if (film === undefined) return source.frameRate;
  const { rateNum, rateDen, factor } = film.retime;
  if (factor === 0) return `${rateNum}/${rateDen}`;
  const [num, den] = source.frameRate.split('/').map(Number);
  return `${num! * factor}/${den}`;
}

/** What a piece becomes. */
export interface ChunkFrames extends PieceFrames {
  readonly timeBase: TimeBase;
  /** When the film shows them; ticks. */
  readonly times: readonly number[];
  /** For each, the frame that it shows or comes after, among the piece's own from 0. */
  readonly from: readonly number[];
  /** For each, how far on the way to the next frame of the source it lies: 0 to below 1. */
  readonly part: readonly number[];
}

export function chunkFrames(plan: FilmPlan, piece: PlanPiece): ChunkFrames {
  const own = pieceFrames(piece);
  const retimedFilm = retimedFrames(plan);
  const { timeBase, times } = retimedFilm ?? sourceTimeline(plan);
  const numbers = Array.from({ length: own.frames }, (_, i) => own.firstFrame + i);
  return {
    ...own,
    timeBase,
    times: numbers.map((frame) => times[frame]!),
    from: numbers.map((frame) => (retimedFilm?.from[frame] ?? frame) - piece.firstFrame),
    part: numbers.map((frame) => retimedFilm?.part[frame] ?? 0),
  };
}
