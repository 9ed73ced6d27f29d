/**
 * The frames of a film and of its chunks, by its plan: how many there are and when each is shown. They are
 * the source's own unless the plan says which others the film shall have.
 */
import type { Retime } from '../../../proto/gen/furrow/v1/task.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import {
  multiplied,
  retimed,
  retimedBase,
  retimedCount,
  stretchOf,
  type RetimedFrames,
  type Timeline,
} from './retime.ts';
import { unpackTimes, type TimeBase } from './timeline.ts';

/** When the source's frames are shown. */
function sourceTimeline(plan: FilmPlan): Timeline {
  const { timeBase, lastFrameTicks } = plan;
  return { timeBase, times: unpackTimes(plan.times), lastFrameTicks };
}

/** Pictures that are made of each frame of the source. */
export function picturesEach({ deinterlace }: Pick<FilmPlan, 'deinterlace'>): number {
  return deinterlace?.eachField === true ? 2 : 1;
}

/** When the source's pictures are shown: its frames, or the fields of its frames. */
export function pictureTimeline(plan: FilmPlan): Timeline {
  return picturesOf(sourceTimeline(plan), plan);
}

/** The pictures of frames that are shown at these times. */
export function picturesOf(frames: Timeline, plan: Pick<FilmPlan, 'deinterlace'>): Timeline {
  return picturesEach(plan) === 1 ? frames : multiplied(frames, picturesEach(plan));
}

/** When the film's frames are shown; its first with the source's first. */
export function filmTimeline(plan: FilmPlan): Timeline {
  return retimedFrames(plan) ?? sourceTimeline(plan);
}

/** Of the source's pictures; undefined where the film has just its frames. */
function retimedFrames(plan: FilmPlan): RetimedFrames | undefined {
  return plan.film === undefined ? undefined : retimed(pictureTimeline(plan), plan.film.retime);
}

/** The time base of `pictureTimeline`. */
export function pictureBase(plan: FilmPlan): TimeBase {
  return { num: plan.timeBase.num, den: plan.timeBase.den * picturesEach(plan) };
}

export function filmTimeBase(plan: FilmPlan): TimeBase {
  return plan.film === undefined ? plan.timeBase : retimedBase(pictureBase(plan), plan.film.retime);
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
  const source = pictureTimeline(plan);
  const frames = retimed(source, retime);
  const each = picturesEach(plan);
  const pieces = plan.pieces.map((piece) => ({
    ...piece,
    film: stretchOf(frames, piece.firstFrame * each, piece.frames * each),
  }));
  return { ...plan, version: 2, pieces, film: { retime, frames: retimedCount(source, retime) } };
}

/** Frames a second that the film plays at, as a fraction; where they vary, on average. */
export function filmFrameRate(plan: FilmPlan): string {
  const { source, film } = plan;
  if (film === undefined) return source.frameRate;
  const { rateNum, rateDen, factor } = film.retime;
  if (factor === 0) return `${rateNum}/${rateDen}`;
  const [num, den] = source.frameRate.split('/').map(Number);
  return `${num! * factor * picturesEach(plan)}/${den}`;
}

/** What a piece becomes. */
export interface ChunkFrames extends PieceFrames {
  readonly timeBase: TimeBase;
  /** When the film shows them; ticks. */
  readonly times: readonly number[];
  /** For each, the picture that it shows or comes after, among the piece's own from 0. */
  readonly from: readonly number[];
  /** For each, how far on the way to the next picture of the source it lies: 0 to below 1. */
  readonly part: readonly number[];
}

export function chunkFrames(plan: FilmPlan, piece: PlanPiece): ChunkFrames {
  const own = pieceFrames(piece);
  const retimedFilm = retimedFrames(plan);
  const { timeBase, times } = retimedFilm ?? sourceTimeline(plan);
  const firstPicture = piece.firstFrame * picturesEach(plan);
  const numbers = Array.from({ length: own.frames }, (_, i) => own.firstFrame + i);
  return {
    ...own,
    timeBase,
    times: numbers.map((frame) => times[frame]!),
    from: numbers.map((frame) => (retimedFilm?.from[frame] ?? frame) - firstPicture),
    part: numbers.map((frame) => retimedFilm?.part[frame] ?? 0),
  };
}
