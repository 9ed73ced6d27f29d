/** What has to be known of a source's picture so that every chunk shows it the same way. */
import type { FilmPlan } from './film-plan.ts';
import { parityOf } from './interlace.ts';
import { MAX_FRAME_RATE } from './media-limits.ts';
import type { MediaStream } from './source-facts.ts';

type Picture = Omit<FilmPlan['source'], 'name' | 'stream' | 'audioTracks' | 'tracks'>;

export function describePicture(stream: MediaStream): Picture {
  return {
    codec: stream.codec_name ?? 'unknown',
    width: stream.width ?? 0,
    height: stream.height ?? 0,
    pixelFormat: stream.pix_fmt ?? 'yuv420p',
    frameRate: frameRateOf(stream),
    orientation: orientationOf(stream),
    colour: {
      range: tag(stream.color_range),
      space: tag(stream.color_space),
      transfer: tag(stream.color_transfer),
      primaries: tag(stream.color_primaries),
    },
    ...(isRatio(stream.sample_aspect_ratio) && { sampleAspect: stream.sample_aspect_ratio }),
    masteringDisplay: masteringDisplayOf(stream),
    contentLight: contentLightOf(stream),
    ...(parityOf(stream.field_order) !== undefined && { interlaced: true }),
  };
}

/** AVI and QuickTime say a film's palette once, which no piece would hold; PNG says it in each picture. */
export function hasPaletteBeside({ pix_fmt, codec_name }: MediaStream): boolean {
  return pix_fmt === 'pal8' && codec_name !== 'png';
}

/** ffmpeg's names only: they go into a filter graph. */
function tag(name: string | undefined): string {
  return name !== undefined && /^[a-z0-9-]+$/.test(name) && !name.startsWith('reserved')
    ? name
    : 'unknown';
}

const isRatio = (text: string | undefined): text is string =>
  /^[1-9]\d{0,8}:[1-9]\d{0,8}$/.test(text ?? '');

function frameRateOf(stream: MediaStream): string {
  for (const rate of [stream.avg_frame_rate, stream.r_frame_rate]) {
    const [, frames, seconds] = /^([1-9]\d*)\/([1-9]\d*)$/.exec(rate ?? '') ?? [];
    // A header may claim any: encoders would refuse it.
    if (rate !== undefined && Number(frames) / Number(seconds) <= MAX_FRAME_RATE) return rate;
  }
  return '25/1';
}

const UPRIGHT = [1, 0, 0, 1];

/** ffprobe prints the matrix as three rows of 16.16 fixed point: `00000000:  0  65536  0`. */
function orientationOf(stream: MediaStream): number[] {
  const matrix = sideData(stream, 'Display Matrix')?.['displaymatrix'];
  if (typeof matrix !== 'string') return UPRIGHT;
  const cells = matrix
    .trim()
    .split('\n')
    .flatMap((row) =>
      row
        .replace(/^\s*[0-9a-f]+:/, '')
        .trim()
        .split(/\s+/),
    )
    .map((cell) => Math.round(Number(cell) / 65_536));
  const turn = [cells[0], cells[1], cells[3], cells[4]];
  return turn.every((cell) => cell === 0 || cell === 1 || cell === -1)
    ? turn.map((cell) => (cell ?? 0) + 0)
    : UPRIGHT;
}

/** Filters that turn the stored picture as its matrix [a, b, c, d] asks; empty when upright. */
export function uprightFilters(orientation: readonly number[]): readonly string[] {
  switch (orientation.join(',')) {
    case '-1,0,0,1':
      return ['hflip'];
    case '1,0,0,-1':
      return ['vflip'];
    case '-1,0,0,-1':
      return ['hflip', 'vflip'];
    case '0,1,-1,0':
      return ['transpose=clock'];
    case '0,-1,1,0':
      return ['transpose=cclock'];
    case '0,1,1,0':
      return ['transpose=cclock_flip'];
    case '0,-1,-1,0':
      return ['transpose=clock_flip'];
    default:
      return [];
  }
}

/** x265's `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`: chromaticity in 1/50000, luminance in 1/10000. */
function masteringDisplayOf(stream: MediaStream): string {
  const data = sideData(stream, 'Mastering display metadata');
  if (data === undefined) return '';
  const point = (x: string, y: string): string =>
    `(${scaled(data[x], 50_000)},${scaled(data[y], 50_000)})`;
  const text =
    `G${point('green_x', 'green_y')}B${point('blue_x', 'blue_y')}R${point('red_x', 'red_y')}` +
    `WP${point('white_point_x', 'white_point_y')}` +
    `L(${scaled(data['max_luminance'], 10_000)},${scaled(data['min_luminance'], 10_000)})`;
  return text.includes('NaN') ? '' : text;
}

function contentLightOf(stream: MediaStream): string {
  const data = sideData(stream, 'Content light level metadata');
  const max = data?.['max_content'];
  const average = data?.['max_average'];
  return typeof max === 'number' && typeof average === 'number' ? `${max},${average}` : '';
}

function sideData(stream: MediaStream, type: string): Record<string, unknown> | undefined {
  return stream.side_data_list?.find((data) => data['side_data_type'] === type);
}

/** `34000/50000` in units of 1/`unit`. */
function scaled(value: unknown, unit: number): number {
  const [num, den] = typeof value === 'string' ? value.split('/').map(Number) : [];
  return Math.round(((num ?? NaN) * unit) / (den ?? NaN));
}
