/**
 * Pictures of red, green and blue (animations, screen recordings, intermediates) become brightness and colour by the
 * matrix that players take for granted at their size, and the film says which. ffmpeg's own way is the one of small
 * pictures for all, unsaid: large ones came out in slightly other colours. Pure.
 */
import type { FilmPlan } from './film-plan.ts';
import { isDeep } from './pixel-depth.ts';

type Source = FilmPlan['source'];

const RGB_FORMAT = /^(gbr|rgb|bgr|[a0x]rgb|[a0x]bgr|x2rgb|x2bgr|pal8)/;

/** The source as it is after `filters`, which stand first. */
export function withoutRgb(source: Source): {
  readonly source: Source;
  readonly filters: readonly string[];
} {
  const { colour, pixelFormat, height } = source;
  if (colour.space !== 'gbr' && !RGB_FORMAT.test(pixelFormat)) return { source, filters: [] };
  const usual = height >= 720 ? 'bt709' : 'smpte170m';
  const space = colour.primaries === 'bt2020' ? 'bt2020nc' : usual;
  const format = isDeep(pixelFormat) ? 'yuv444p10le' : 'yuv444p';
  // The filter's name of this matrix.
  const matrix = space === 'bt2020nc' ? 'bt2020' : space;
  const scale = `scale=out_color_matrix=${matrix}:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int`;
  return {
    source: { ...source, pixelFormat: format, colour: { ...colour, range: 'tv', space } },
    filters: [scale, `format=${format}`],
  };
}
