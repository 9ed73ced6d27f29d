/**
 * Filters between a piece's file and its chunk's frames: exactly the pictures that are the piece's own, at
 * times that begin with 0, and out of those exactly the frames that the film has of them.
 */
import { chunkFrames, pictureBase, picturesEach, pictureTimeline } from './film-frames.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import { slackTicks } from './retime.ts';
import { rescale, unpackTimes } from './timeline.ts';

/**
 * Exactly the piece's own pictures, the first at 0, in ticks of 1/den of the pictures' time base; and with
 * `tailFrames` so many of what follows, where its file holds them and its frames are no fields.
 */
export function ownPictureFilters(plan: FilmPlan, piece: PlanPiece, tailFrames = 0): string[] {
  const times = unpackTimes(plan.times);
  const { firstFrame: first, frames } = piece;
  const inPiece = (frame: number): number =>
    rescale(times[frame]!, plan.timeBase, piece.timeBase) + piece.shiftTicks;
  // A frame's fields are weighed against its neighbours: these are decoded as well, and left out after.
  const isWoven = plan.deinterlace !== undefined && plan.mode === 'cut';
  const lead = isWoven ? (piece.leadFrames ?? 0) : 0;
  const tail = isWoven ? (piece.tailFrames ?? 0) : tailFrames;
  // Until just after the last frame: what follows in the file belongs to the next piece.
  const end = inPiece(first + frames - 1 + tail) + 1;
  const trim =
    plan.mode === 'cut' ? [`trim=start_pts=${inPiece(first - lead)}:end_pts=${end}`] : [];
  return [
    ...trim,
    `setpts=PTS-(${inPiece(first)})`,
    ...fieldFilters(plan, lead * picturesEach(plan), frames * picturesEach(plan)),
    `settb=1/${pictureBase(plan).den}`,
  ];
}

/** Pictures of fields; of those only `count` after the first `lead`. */
function fieldFilters({ deinterlace }: FilmPlan, lead: number, count: number): string[] {
  if (deinterlace === undefined) return [];
  const mode = deinterlace.eachField ? 'send_field' : 'send_frame';
  return [
    `bwdif=mode=${mode}:parity=${deinterlace.parity}:deint=all`,
    `trim=start_frame=${lead}:end_frame=${lead + count}`,
  ];
}

/**
 * From all pictures of the piece to the frames of the film, at its rate; empty where it shows just these.
 * Counts as `retimed` does: a picture is shown from the first frame of the film on that comes no more than
 * the slack before it.
 */
export function rateFilters(plan: FilmPlan, piece: PlanPiece): string[] {
  if (plan.film === undefined || plan.film.retime.factor > 0) return [];
  const { rateNum, rateDen } = plan.film.retime;
  const source = pictureTimeline(plan);
  const slack = slackTicks(source, { num: rateNum, den: rateDen });
  const since = source.times[piece.firstFrame * picturesEach(plan)]! - source.times[0]!;
  const chunk = chunkFrames(plan, piece);
  return [
    `setpts=PTS+(${(since - slack) * plan.timeBase.num})`,
    `fps=${rateNum}/${rateDen}:round=up`,
    `setpts=PTS-${chunk.firstFrame}`,
    // The piece's last picture is shown until the next piece begins.
    `tpad=stop_mode=clone:stop=${chunk.frames}`,
    `trim=end_frame=${chunk.frames}`,
  ];
}
