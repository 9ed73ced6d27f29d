/** What a proxy is coded as: easy for an editing program to jump about in, and small. */
import { FilmFault } from './film-fault.ts';
import { encoderSettings, type EncoderSettings } from './encoder-settings.ts';
import type { FilmPlan } from './film-plan.ts';

interface ProxyCoding {
  readonly pixelFormat: string;
  /** Options in place of those for x264. */
  readonly options?: readonly string[];
  /** Besides those for x264. */
  readonly besides?: readonly string[];
  readonly muxer: 'mp4' | 'mov';
}

/** Pictures between two that stand alone: a player finds any within half a second. */
const SHORT_GOP = ['-g', '12', '-bf', '0'];
const ALL_INTRA = ['-g', '1', '-bf', '0'];

const CODINGS: Readonly<Record<string, ProxyCoding>> = {
  h264: { pixelFormat: 'yuv420p', besides: SHORT_GOP, muxer: 'mp4' },
  'h264-intra': { pixelFormat: 'yuv420p', besides: ALL_INTRA, muxer: 'mp4' },
  prores: {
    pixelFormat: 'yuv422p10le',
    options: ['-c:v', 'prores_ks', '-profile:v', 'proxy', '-vendor', 'apl0'],
    muxer: 'mov',
  },
  dnxhr: {
    pixelFormat: 'yuv422p',
    options: ['-c:v', 'dnxhd', '-profile:v', 'dnxhr_lb'],
    muxer: 'mov',
  },
  mjpeg: { pixelFormat: 'yuvj422p', options: ['-c:v', 'mjpeg', '-q:v', '6'], muxer: 'mov' },
};

/** Throws FilmFault `invalid-input` for a format that is not known. */
export function proxySettings(
  format: string,
  longestSide: number,
  source: FilmPlan['source'],
  threads: number,
): { readonly settings: EncoderSettings; readonly muxer: 'mp4' | 'mov' } {
  const coding = Object.hasOwn(CODINGS, format) ? CODINGS[format] : undefined;
  if (coding === undefined) {
    throw new FilmFault('invalid-input', `a proxy's format ${JSON.stringify(format)} is not known`);
  }
  const { width, height } = proxySize(source, longestSide);
  const video = { encoder: 'libx264', crf: 23, preset: 'veryfast', width, height, threads };
  const x264 = encoderSettings('libx264', video, source, threads);
  const { pixelFormat, muxer } = coding;
  const options = coding.options ?? [...x264.options, ...(coding.besides ?? [])];
  return {
    settings: {
      filters: [...x264.filters.slice(0, -1), `format=${pixelFormat}`],
      options: coding.options === undefined ? options : [...options, '-threads', String(threads)],
      pixelFormat,
    },
    muxer,
  };
}

/** Of the picture as it is shown; 0 and 0 where it is small enough as it is. */
export function proxySize(
  { width, height, orientation }: Pick<FilmPlan['source'], 'width' | 'height' | 'orientation'>,
  longestSide: number,
): { readonly width: number; readonly height: number } {
  if (longestSide === 0 || Math.max(width, height) <= longestSide) return { width: 0, height: 0 };
  const isTurned = orientation[0] === 0;
  const [across, down] = isTurned ? [height, width] : [width, height];
  const scale = longestSide / Math.max(across, down);
  const even = (side: number): number => Math.max(2, Math.round((side * scale) / 2) * 2);
  return { width: even(across), height: even(down) };
}
