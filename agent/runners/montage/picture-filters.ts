/**
 * From a clip's picture to the film's: upright, in the film's colours, of its size, graded. Filters are built
 * from numbers and from words of our own alone. Pure.
 */
import type { MontageFilm, MontageGrade } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { uprightFilters } from '../film/picture.ts';
import type { ClipPicture } from './clip-facts.ts';

/** What of the frame a clip's picture fills, and what of the picture is seen. */
export interface Placed {
  /** The picture is scaled to this. */
  readonly width: number;
  readonly height: number;
  /** Then it is cut, or else padded, at both sides to the film's size. */
  readonly fills: boolean;
}

/** Of a picture that is cut, so much at least stays seen; what would lose more is padded. */
const LEAST_SEEN = 0.6;

export function shownSize(picture: ClipPicture): {
  readonly width: number;
  readonly height: number;
} {
  const width = picture.width * picture.pixelAspect;
  const turned = picture.orientation[0] === 0;
  return turned ? { width: picture.height, height: width } : { width, height: picture.height };
}

export function placeIn(film: MontageFilm, picture: ClipPicture): Placed {
  const { width, height } = shownSize(picture);
  const across = film.width / width;
  const down = film.height / height;
  const seen = Math.min(across, down) / Math.max(across, down);
  const fills = film.fit === 'crop' || (film.fit !== 'pad' && seen >= LEAST_SEEN);
  const scale = fills ? Math.max(across, down) : Math.min(across, down);
  const even = (pixels: number, limit: number): number => {
    const rounded = Math.max(2, Math.round(pixels / 2) * 2);
    return fills ? Math.max(rounded, limit) : Math.min(rounded, limit);
  };
  return {
    width: even(width * scale, film.width),
    height: even(height * scale, film.height),
    fills,
  };
}

/** Upright, scaled and cut, in 4:2:0 of BT.709; what is to be padded still is not. */
export function geometryFilters(film: MontageFilm, picture: ClipPicture): string[] {
  return [
    ...wholeFilters(picture),
    ...fillFilters(film, picture, `in_range=auto${inMatrix(picture)}`),
  ];
}

/** Upright, of whole pictures, in colours that screens show. */
export function wholeFilters(picture: ClipPicture): string[] {
  return [
    ...uprightFilters(picture.orientation),
    // Pictures that are marked as two fields, and only those; it halves the time base and nothing else.
    'bwdif=mode=send_frame:deint=interlaced',
    ...colourFilters(picture),
  ];
}

/** Scaled to what it fills of the film, and cut; `from`: words of ffmpeg's scaler on what comes in. */
export function fillFilters(film: MontageFilm, picture: ClipPicture, from: string): string[] {
  const { width, height, fills } = placeIn(film, picture);
  return [
    `scale=${width}:${height}:flags=bicubic:out_range=tv:out_color_matrix=bt709${from === '' ? '' : `:${from}`}`,
    ...(fills ? [`crop=${film.width}:${film.height}`] : []),
    ...FILM_PICTURE,
  ];
}

/** What all pictures are before they are graded. */
export const FILM_PICTURE: readonly string[] = [
  'setsar=1',
  'format=yuv420p',
  'setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709',
];

/** More than the rounding to even sides makes of it. */
const LEAST_ENLARGED = 1.01;

/** Whether a picture has fewer pixels than what it fills of the film. */
export function isSmall(film: MontageFilm, picture: ClipPicture): boolean {
  const placed = placeIn(film, picture);
  const { width, height } = shownSize(picture);
  return Math.min(placed.width / width, placed.height / height) > LEAST_ENLARGED;
}

/** Bars stay black and still, whatever was done to the picture before. */
export function padFilters(film: MontageFilm, picture: ClipPicture): string[] {
  return placeIn(film, picture).fills ? [] : [`pad=${film.width}:${film.height}:-1:-1:color=black`];
}

const HDR_TRANSFERS: ReadonlySet<string> = new Set(['smpte2084', 'arib-std-b67']);

/** High dynamic range is brought down to what common screens show. */
function colourFilters({ colour }: ClipPicture): string[] {
  if (!HDR_TRANSFERS.has(colour.transfer)) return [];
  const known = (value: string, usual: string): string => (value === 'unknown' ? usual : value);
  return [
    `setparams=color_primaries=${known(colour.primaries, 'bt2020')}:color_trc=${colour.transfer}:colorspace=${known(colour.space, 'bt2020nc')}`,
    'zscale=transfer=linear:npl=100',
    'format=gbrpf32le',
    'zscale=primaries=bt709',
    'tonemap=tonemap=hable:desat=0',
    'zscale=transfer=bt709:matrix=bt709:range=tv',
    'format=yuv420p10le',
  ];
}

/** What does not say its matrix has that of its time: high definition BT.709, what is smaller BT.601. */
export function inMatrix({ colour, height, width }: ClipPicture): string {
  if (HDR_TRANSFERS.has(colour.transfer)) return ':in_color_matrix=bt709';
  if (colour.space !== 'unknown') return '';
  return `:in_color_matrix=${Math.max(width, height) >= 1280 ? 'bt709' : 'bt601'}`;
}

/** Noise goes, edges come out; the same for every clip. */
export const ENHANCE_FILTERS = ['hqdn3d=3:2:4:3', 'unsharp=5:5:0.6:5:5:0'];

/** What styles do to colours; nothing for a grade that leaves everything. */
export function gradeFilters(grade: MontageGrade | undefined): string[] {
  if (grade === undefined) return [];
  const within = (value: number, from: number, to: number): string =>
    String(
      Math.round(Math.min(to, Math.max(from, Number.isFinite(value) ? value : from)) * 1e4) / 1e4,
    );
  const { contrast, brightness, saturation, gamma, kelvin, lift, vignette, grain } = grade;
  const filters: string[] = [];
  if (contrast !== 1 || brightness !== 0 || saturation !== 1 || gamma !== 1) {
    filters.push(
      `eq=contrast=${within(contrast, 0, 3)}:brightness=${within(brightness, -1, 1)}:saturation=${within(saturation, 0, 3)}:gamma=${within(gamma, 0.1, 10)}`,
    );
  }
  if (kelvin !== 0 && kelvin !== 6500) {
    filters.push(`colortemperature=temperature=${within(kelvin, 1000, 40_000)}:pl=1`);
  }
  if (lift > 0)
    filters.push(
      `colorlevels=romin=${within(lift, 0, 1)}:gomin=${within(lift, 0, 1)}:bomin=${within(lift, 0, 1)}`,
    );
  if (vignette > 0) filters.push(`vignette=angle=${within(vignette * (Math.PI / 4), 0, 1.5)}`);
  if (grain > 0) filters.push(`noise=alls=${within(Math.round(grain), 0, 30)}:allf=t:all_seed=1`);
  return filters.length === 0 ? [] : [...filters, 'format=yuv420p'];
}
