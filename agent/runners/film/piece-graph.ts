/**
 * Filters between a piece's file and its chunk's frames: exactly the pictures that are the piece's own, at
 * times that begin with 0, and out of those exactly the frames that the film has of them.
 */
import { FilmFault } from './film-fault.ts';
import {
  chunkFrames,
  filmTimeline,
  pictureBase,
  picturesEach,
  pictureTimeline,
} from './film-frames.ts';
import type { MediaInput } from './ffmpeg-argv.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import { slackTicks } from './retime.ts';
import { rescale, unpackTimes } from './timeline.ts';

/** The piece's file as an input. `device`: options for an encoder's, which stand before all inputs. */
export function pieceInput(
  plan: FilmPlan,
  piece: PlanPiece,
  device: readonly string[] = [],
): MediaInput {
  const options = [...device, '-noautorotate', ...(plan.mode === 'cut' ? ['-copyts'] : [])];
  return { name: piece.name, options };
}

/** The stream that a piece's filters begin with, such as `[0:v:0]`. */
export function pieceStream(plan: FilmPlan): string {
  return `[0:${plan.mode === 'whole' ? plan.source.stream : 'v:0'}]`;
}

/** For an output whose frames have exact times, in ticks of so many parts of a second. */
export function exactTimes(ticksPerSecond: number, ticks = 1): string[] {
  return ['-fps_mode', 'passthrough', '-enc_time_base', `${ticks}/${ticksPerSecond}`];
}

/**
 * Ticks from each frame of the film to the next, where these are all the same. Throws FilmFault
 * `invalid-input` where they are not.
 */
export function evenStep(plan: FilmPlan): number {
  const { times, timeBase } = filmTimeline(plan);
  const step = (times[1] ?? 1) - (times[0] ?? 0);
  if (times.every((time, i) => time === times[0]! + i * step)) return step * timeBase.num;
  throw new FilmFault(
    'invalid-input',
    `${plan.source.name} has no even frame rate, by which this encoder counts bits: give one (fps), or another encoder`,
  );
}

/**
 * Exactly the piece's own pictures, the first at 0, in ticks of 1/den of the pictures' time base; and with
 * `tailFrames` and `leadFrames` so many of what follows and of what is before, where its file holds them and its
 * frames are no fields.
 */
export function ownPictureFilters(
  plan: FilmPlan,
  piece: PlanPiece,
  tailFrames = 0,
  leadFrames = 0,
): string[] {
  const times = unpackTimes(plan.times);
  const { firstFrame: first, frames } = piece;
  const inPiece = (frame: number): number =>
    rescale(times[frame]!, plan.timeBase, piece.timeBase) + piece.shiftTicks;
  // A frame's fields are weighed against its neighbours: these are decoded as well, and left out after.
  const isWoven = plan.deinterlace !== undefined && plan.mode === 'cut';
  const lead = isWoven ? (piece.leadFrames ?? 0) : leadFrames;
  const tail = isWoven ? (piece.tailFrames ?? 0) : tailFrames;
  // Until just after the last frame: what follows in the file belongs to the next piece.
  const end = inPiece(first + frames - 1 + tail) + 1;
  const trim =
    plan.mode === 'cut' ? [`trim=start_pts=${inPiece(first - lead)}:end_pts=${end}`] : [];
  return [
    ...trim,
    `setpts=PTS-(${inPiece(isWoven ? first : first - leadFrames)})`,
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
