/**
 * The filter graph of one shot: its own frames and, where it begins with a transition, the last ones of the
 * shot before, each through the same filters as in that shot's own unit. Pure; built from numbers and words of
 * ours alone.
 */
import type { MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { uprightFilters } from '../film/picture.ts';
import { THUMB_FILTER } from '../film/picture-likeness.ts';
import { conformFilters, rateText, speedFilters } from './conform.ts';
import { clipFramesOf, type CutList, materialFrames, type Transition } from './cut-list.ts';
import {
  ENHANCE_FILTERS,
  FILM_PICTURE,
  geometryFilters,
  gradeFilters,
  padFilters,
} from './picture-filters.ts';
import type { Footage, Piece } from './pieces.ts';
import type { Rate } from './timecode.ts';

/** Where vidstab writes how a piece moves. */
const motionFile = (shot: number): string => `motion-${shot}.trf`;

/** Too few to tell a hand's shaking from a pan. */
const LEAST_STEADIED_FRAMES = 12;

export function isSteadied(film: MontageFilm, { frames }: Piece): boolean {
  return film.stabilize && frames >= LEAST_STEADIED_FRAMES;
}

/** The clip's frames that a piece holds, as the look at the clip saw them; from 0. */
export function pieceFilters(piece: Footage, { rate }: Pick<CutList, 'rate'>): string[] {
  const { packets, largeFrom } = piece;
  // What is before them in the piece is not needed: they only keep their numbers.
  if (largeFrom !== undefined && largeFrom > 0) {
    return [...conformFilters(rate), `tpad=start=${largeFrom}:start_mode=clone`];
  }
  if (packets === undefined || largeFrom !== undefined) return conformFilters(rate);
  const { startTicks, endTicks, zeroTicks } = packets;
  return [
    `trim=start_pts=${startTicks}:end_pts=${endTicks}`,
    `setpts=PTS-(${zeroTicks})`,
    ...shownFromZero(piece, 0, rate),
  ];
}

/** Of pictures whose times begin at the clip's frame 0, the piece's frames from its frame `skipped` on; from 0. */
export function shownFromZero({ from, frames }: Piece, skipped: number, rate: Rate): string[] {
  return [
    ...conformFilters(rate),
    // A frame that is shown until the end has no next one that would say so.
    `tpad=stop=${frames}:stop_mode=clone`,
    `trim=start_pts=${from + skipped}:end_pts=${from + frames}`,
    'setpts=PTS-STARTPTS',
  ];
}

/** As large as the picture fills the film, in the film's colours; what was made larger is that already. */
function placedFilters(film: MontageFilm, { picture, largeFrom }: Footage): readonly string[] {
  return largeFrom === undefined ? geometryFilters(film, picture) : FILM_PICTURE;
}

/** What vidstab looks at before the shot is rendered. */
export function motionGraph(film: MontageFilm, list: CutList, piece: Footage): string {
  return [
    ...pieceFilters(piece, list),
    ...placedFilters(film, piece),
    `vidstabdetect=result=${motionFile(piece.shot)}:shakiness=6:accuracy=12`,
  ].join(',');
}

/**
 * The first of a piece's frames that the transition into the next shot needs, when it is all that is rendered of it:
 * all of them where filters look back over the whole stretch.
 */
export function firstLentFrame(film: MontageFilm, { shots }: CutList, piece: Piece): number {
  if (film.enhance || isSteadied(film, piece)) return 0;
  const shot = shots[piece.shot]!;
  return clipFramesOf(shot, shot.frames + 1) - 1;
}

/** From clip's frames to film's frames, without a transition. */
function renderFilters(film: MontageFilm, list: CutList, piece: Footage): string[] {
  const { rate, shots } = list;
  const material = materialFrames(shots, piece.shot);
  return [
    ...placedFilters(film, piece),
    ...(isSteadied(film, piece)
      ? [
          `vidstabtransform=input=${motionFile(piece.shot)}:smoothing=15:optzoom=1:zoomspeed=0:crop=black`,
        ]
      : []),
    // Ticks that any of the filters halved are whole frames again.
    `settb=${rate.den}/${rate.num}`,
    ...speedFilters(rate, shots[piece.shot]!.speedPercent, material),
    ...(film.enhance ? ENHANCE_FILTERS : []),
    ...gradeFilters(film.grade),
    ...padFilters(film, piece.picture),
    `fps=${rateText(rate)}`,
  ];
}

const BLENDS: Readonly<Record<Exclude<Transition, 'cut'>, string>> = {
  dissolve: 'fade',
  'dip-black': 'fadeblack',
  'dip-white': 'fadewhite',
  whip: 'slideleft',
  zoom: 'zoomin',
};

/**
 * Outputs `[film]`, the chunk's frames in ticks of 1/num; `[copy]`, thumbs of them; `[source]`, thumbs of all
 * frames of the clip. `encoderFilters` make of a picture what the encoder takes. Input 0 is the shot's piece, input 1 that of the shot before, if there is a transition.
 */
export function shotGraph(
  film: MontageFilm,
  list: CutList,
  own: Footage,
  before: Footage | undefined,
  encoderFilters: readonly string[],
): string {
  const { rate } = list;
  const shot = list.shots[own.shot]!;
  const upright = own.largeFrom === undefined ? uprightFilters(own.picture.orientation) : [];
  const ending = [
    ...fadeOut(film, list, own.shot),
    `settb=1/${rate.num}`,
    ...encoderFilters,
    'split[film][rendered]',
  ].join(',');
  const graph = [
    `[0:v:0]${pieceFilters(own, list).join(',')},split[picture][seen]`,
    `[seen]${[...upright, THUMB_FILTER].join(',')}[source]`,
    `[rendered]${THUMB_FILTER}[copy]`,
  ];
  const rendered = [...renderFilters(film, list, own), `trim=end_frame=${shot.frames}`].join(',');
  if (before === undefined || shot.transition === 'cut') {
    return [...graph, `[picture]${rendered},${ending}`].join(';');
  }
  const last = list.shots[before.shot]!.frames;
  const seconds = (shot.transitionFrames * rate.den) / rate.num;
  return [
    ...graph,
    `[picture]${rendered}[next]`,
    `[1:v:0]${[
      ...pieceFilters(before, list),
      ...renderFilters(film, list, before),
      `trim=start_frame=${last}`,
      'setpts=PTS-STARTPTS',
      // The filter wants one frame beyond the transition's last, which it does not show.
      'tpad=stop=2:stop_mode=clone',
    ].join(',')}[last]`,
    `[last][next]xfade=transition=${BLENDS[shot.transition]}:duration=${seconds.toFixed(6)}:offset=0,trim=end_frame=${shot.frames},${ending}`,
  ].join(';');
}

/** The last shot's end, or all of it if the fade is longer. */
function fadeOut({ fadeOutSeconds }: MontageFilm, list: CutList, shot: number): string[] {
  if (!(fadeOutSeconds > 0) || shot !== list.shots.length - 1) return [];
  const { frames } = list.shots[shot]!;
  const wanted = Math.round((fadeOutSeconds * list.rate.num) / list.rate.den);
  const length = Math.min(frames, wanted);
  return length < 2 ? [] : [`fade=t=out:start_frame=${frames - length}:nb_frames=${length}`];
}

/** Where the fade of the music begins, in seconds, and how long it is. */
export function musicFade(
  { fadeOutSeconds }: MontageFilm,
  list: CutList,
): { readonly from: number; readonly seconds: number } | undefined {
  const seconds = (list.frames * list.rate.den) / list.rate.num;
  if (!(fadeOutSeconds > 0)) return undefined;
  const length = Math.min(seconds, fadeOutSeconds);
  return { from: seconds - length, seconds: length };
}
