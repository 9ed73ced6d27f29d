/**
 * Filters between a piece's file and its chunk's frames: exactly the frames that are the piece's own, at
 * times that begin with 0, and out of those exactly the frames that the film has of them.
 */
import { chunkFrames } from './film-frames.ts';
import { type FilmPlan, type PlanPiece } from './film-plan.ts';
import { slackTicks } from './retime.ts';
import { rescale, unpackTimes } from './timeline.ts';

/**
 * Exactly the piece's own frames, the first at 0, in ticks of 1/den of the source's time base; and with
 * `tailFrames` so many of what follows, where its file holds them.
 */
export function ownFrameFilters(plan: FilmPlan, piece: PlanPiece, tailFrames = 0): string[] {
  const { firstFrame, frames } = piece;
  const times = unpackTimes(plan.times).slice(firstFrame, firstFrame + frames + tailFrames);
  const inPiece = (ticks: number): number =>
    rescale(ticks, plan.timeBase, piece.timeBase) + piece.shiftTicks;
  const first = inPiece(times[0]!);
  // Until just after the last of them: what follows in the file belongs to the next piece.
  const end = inPiece(times.at(-1)!) + 1;
  const trim = plan.mode === 'cut' ? [`trim=start_pts=${first}:end_pts=${end}`] : [];
  return [...trim, `setpts=PTS-(${first})`, `settb=1/${plan.timeBase.den}`];
}

/**
 * From all frames of the piece to those that the film shows, at the film's rate; empty where it shows just
 * these. Counts as `retimed` does: a frame is shown from the first frame of the film on that comes no more
 * than the slack before it.
 */
export function rateFilters(plan: FilmPlan, piece: PlanPiece): string[] {
  if (plan.film === undefined) return [];
  const { rateNum, rateDen } = plan.film.retime;
  const source = { timeBase: plan.timeBase, times: unpackTimes(plan.times) };
  const slack = slackTicks(source, { num: rateNum, den: rateDen });
  const since = source.times[piece.firstFrame]! - source.times[0]!;
  const chunk = chunkFrames(plan, piece);
  return [
    `setpts=PTS+(${(since - slack) * plan.timeBase.num})`,
    `fps=${rateNum}/${rateDen}:round=up`,
    `setpts=PTS-${chunk.firstFrame}`,
    // The piece's last frame is shown until the next piece begins.
    `tpad=stop_mode=clone:stop=${chunk.frames}`,
    `trim=end_frame=${chunk.frames}`,
  ];
}
