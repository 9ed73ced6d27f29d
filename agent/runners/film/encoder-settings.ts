/**
 * What an encoder is told. All chunks of a film get the same words, so that their headers agree and
 * they join without a decoder noticing: nothing here may depend on a chunk's content or on the machine.
 */
import type { VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import type { FilmPlan } from './film-plan.ts';
import { ceilingOptions } from './bitrate-ceiling.ts';
import { uprightFilters } from './picture.ts';

export interface EncoderSettings {
  /** Filters in order, from a decoded frame of the source to what the encoder takes. */
  readonly filters: readonly string[];
  readonly options: readonly string[];
  readonly pixelFormat: string;
}

type Source = FilmPlan['source'];

const KNOWN_ENCODERS = ['libx264', 'libx265', 'libsvtav1', 'libvpx-vp9'] as const;
type KnownEncoder = (typeof KNOWN_ENCODERS)[number];

const DEFAULT_CRF: Readonly<Record<KnownEncoder, number>> = {
  libx264: 20,
  libx265: 24,
  libsvtav1: 30,
  'libvpx-vp9': 31,
};

export function knownEncoder(name: string): KnownEncoder | undefined {
  return name === '' ? 'libx264' : KNOWN_ENCODERS.find((known) => known === name);
}

export function encoderSettings(
  encoder: KnownEncoder,
  video: VideoEncoding,
  source: Source,
  threads: number,
): EncoderSettings {
  const pixelFormat = pixelFormatFor(encoder, source.pixelFormat);
  return {
    filters: [
      ...colourTags(source),
      ...uprightFilters(source.orientation),
      ...sizeFilters(encoder, video),
      `format=${pixelFormat}`,
    ],
    options: [
      ['-c:v', encoder, '-crf', String(video.crf || DEFAULT_CRF[encoder])],
      encoderOptions(encoder, video.preset, source, threads),
      ceilingOptions(encoder, video.maxBitrateBps ?? 0),
    ].flat(),
    pixelFormat,
  };
}

/** A piece's container may not carry what the source's said about colour: say it again. */
function colourTags({ colour }: Source): string[] {
  const known = Object.entries({
    range: colour.range,
    color_primaries: colour.primaries,
    color_trc: colour.transfer,
    colorspace: colour.space,
  }).filter(([, value]) => value !== 'unknown');
  return known.length === 0
    ? []
    : [`setparams=${known.map(([key, value]) => `${key}=${value}`).join(':')}`];
}

/**
 * 4:2:0, which is what players play; ten bits stay ten. Full-range JPEG formats stay as they are
 * where the encoder takes them.
 */
function pixelFormatFor(encoder: KnownEncoder, source: string): string {
  if (/(9|10|12|14|16)(le|be)$/.test(source) || /^(p010|p016|p21|p41)/.test(source)) {
    return 'yuv420p10le';
  }
  const full = source.startsWith('yuvj') && (encoder === 'libx264' || encoder === 'libx265');
  return full ? 'yuvj420p' : 'yuv420p';
}

/**
 * The wanted size, or the source's own. Where 4:2:0 takes no odd size, the last column or row is cut
 * off: every other pixel stays as it was, where scaling by one pixel would blur them all.
 */
function sizeFilters(encoder: KnownEncoder, { width, height }: VideoEncoding): string[] {
  if (width > 0 || height > 0) return [`scale=${width || -2}:${height || -2}:flags=bicubic`];
  return encoder === 'libvpx-vp9' ? [] : ['crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0'];
}

function encoderOptions(
  encoder: KnownEncoder,
  preset: string,
  source: Source,
  threads: number,
): string[] {
  switch (encoder) {
    case 'libx264':
      return [
        ['-preset', preset || 'medium', '-threads', String(threads)],
        // The frame rate is guessed from each piece alone otherwise, and with it the level.
        ['-x264-params', `stitchable=1:fps=${source.frameRate}`],
      ].flat();
    case 'libx265':
      return ['-preset', preset || 'medium', '-x265-params', x265Parameters(source, threads)];
    case 'libsvtav1':
      return ['-preset', preset || '8', '-svtav1-params', `lp=${threads}`];
    case 'libvpx-vp9':
      return [
        ['-b:v', '0', '-deadline', 'good', '-cpu-used', preset || '2'],
        ['-row-mt', '1', '-threads', String(threads)],
      ].flat();
  }
}

function x265Parameters(source: Source, threads: number): string {
  const parameters = [
    // The settings' text in the header differs with the number of threads.
    'info=0',
    'log-level=error',
    `fps=${source.frameRate}`,
    // The same for every agent: bits differ with the number of frame threads.
    'frame-threads=1',
    `pools=${threads}`,
  ];
  // x265 writes neither unless told again.
  if (source.masteringDisplay !== '') parameters.push(`master-display=${source.masteringDisplay}`);
  if (source.contentLight !== '') parameters.push(`max-cll=${source.contentLight}`);
  if (source.masteringDisplay !== '' || source.contentLight !== '') parameters.push('hdr10=1');
  return parameters.join(':');
}
