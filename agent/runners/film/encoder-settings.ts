/**
 * What an encoder is told. All chunks of a film get the same words, so that their headers agree and
 * they join without a decoder noticing: nothing here may depend on a chunk's content or on the machine.
 */
import type { VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import { FilmFault } from './film-fault.ts';
import { filmFrameRate } from './film-frames.ts';
import type { FilmPlan } from './film-plan.ts';
import { ceilingOptions } from './bitrate-ceiling.ts';
import { fastestHardwarePreset, hardwareSettings, isHardware } from './hardware-encoders.ts';
import { uprightFilters } from './picture.ts';
import { isDeep } from './pixel-depth.ts';

export interface EncoderSettings {
  /** Filters in order, from a decoded frame of the source to what the encoder takes. */
  readonly filters: readonly string[];
  readonly options: readonly string[];
  readonly pixelFormat: string;
  /** Options of a pass before it that only measures; absent for encoders that take none, or need none. */
  readonly firstPass?: readonly string[] | undefined;
  /** Before the first input, where it needs a device. */
  readonly device?: readonly string[] | undefined;
  /** Filters that bring a picture to it, after all others. */
  readonly upload?: readonly string[] | undefined;
  /** It takes each frame to last one tick, whatever its time says. */
  readonly ticksAreFrames?: boolean | undefined;
}

/** What a first pass leaves for the second begins so. */
export const PASS_LOG = 'passlog';

export const DEFAULT_ENCODING: VideoEncoding = {
  encoder: '',
  crf: 0,
  preset: '',
  width: 0,
  height: 0,
  threads: 0,
};

/** Throws FilmFault `invalid-input` for an encoder that is not known. */
export function settingsFor(
  video: VideoEncoding,
  plan: FilmPlan,
  threads: number,
): EncoderSettings {
  const source = { ...plan.source, frameRate: filmFrameRate(plan) };
  if (isHardware(video.encoder)) return settingsOfHardware(video, source);
  const encoder = knownEncoder(video.encoder);
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${video.encoder} is not known`);
  }
  return encoderSettings(encoder, video, source, threads);
}

type Source = FilmPlan['source'];

const KNOWN_ENCODERS = ['libx264', 'libx265', 'libsvtav1', 'libvpx-vp9'] as const;
export type KnownEncoder = (typeof KNOWN_ENCODERS)[number];

const DEFAULT_CRF: Readonly<Record<KnownEncoder, number>> = {
  libx264: 20,
  libx265: 24,
  libsvtav1: 30,
  'libvpx-vp9': 31,
};

/** Constant qualities that are worth a trial: better ones are not told apart, worse ones nobody wants. */
export function qualityRange(encoder: string): { readonly from: number; readonly to: number } {
  return QUALITY_RANGE[knownEncoder(encoder) ?? 'libx264'];
}

const QUALITY_RANGE: Readonly<Record<KnownEncoder, { from: number; to: number }>> = {
  libx264: { from: 6, to: 45 },
  libx265: { from: 6, to: 45 },
  libsvtav1: { from: 8, to: 63 },
  'libvpx-vp9': { from: 8, to: 63 },
};

export function fastestPreset(encoder: string): string {
  return fastestHardwarePreset(encoder) ?? FASTEST_PRESET[knownEncoder(encoder) ?? 'libx264'];
}

const FASTEST_PRESET: Readonly<Record<KnownEncoder, string>> = {
  libx264: 'superfast',
  libx265: 'ultrafast',
  libsvtav1: '12',
  'libvpx-vp9': '8',
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
  const toSdr = video.toSdr === true && isHighRange(source);
  const shown = toSdr ? inStandardRange(source) : source;
  const pixelFormat = pixelFormatFor(encoder, shown.pixelFormat);
  return {
    filters: [
      ...colourTags(source),
      ...uprightFilters(source.orientation),
      ...sizeFilters(encoder, video),
      ...(toSdr ? toneFilters(source) : []),
      `format=${pixelFormat}`,
    ],
    ...passesOf(encoder, video, [
      ...encoderOptions(encoder, video.preset, shown, threads),
      ...ceilingOptions(encoder, video.maxBitrateBps ?? 0),
    ]),
    pixelFormat,
  };
}

/** What HDR10 says of its display is not among what these write. */
function settingsOfHardware(video: VideoEncoding, source: Source): EncoderSettings {
  const toSdr = video.toSdr === true && isHighRange(source);
  const shown = toSdr ? inStandardRange(source) : source;
  const isTenBit = pixelFormatFor('libx265', shown.pixelFormat) === 'yuv420p10le';
  const hardware = hardwareSettings(video.encoder, video, isTenBit);
  if (hardware === undefined) throw new Error(`${video.encoder} is no hardware encoder`);
  const { pixelFormat } = hardware;
  return {
    ...hardware,
    filters: [
      ...colourTags(source),
      ...uprightFilters(source.orientation),
      ...sizeFilters('libx264', video),
      ...(toSdr ? toneFilters(source) : []),
      `format=${pixelFormat}`,
    ],
  };
}

/** Pixels of the shorter side, below which an encoder takes no picture. */
const LEAST_SIDE: Readonly<Record<KnownEncoder, number>> = {
  libx264: 2,
  libx265: 16,
  libsvtav1: 64,
  'libvpx-vp9': 1,
};

/**
 * Throws FilmFault `invalid-input` for a picture that the encoder takes on no agent, which it would say in
 * words of its own, after each attempt.
 */
export function refuseTooSmall(video: VideoEncoding, { name, width, height }: Source): void {
  const encoder = knownEncoder(video.encoder);
  const wanted = [video.width, video.height].filter((side) => side > 0);
  const sides = wanted.length > 0 ? wanted : [width, height];
  if (encoder === undefined || Math.min(...sides) >= LEAST_SIDE[encoder]) return;
  const what =
    wanted.length > 0 ? `${name} would get a side of` : `${name} is ${width}x${height}, a side of`;
  throw new FilmFault(
    'invalid-input',
    `${what} ${Math.min(...sides)} pixels: ${encoder} takes none below ${LEAST_SIDE[encoder]}; give a larger --size, or another encoder`,
  );
}

type Passes = Pick<EncoderSettings, 'options' | 'firstPass' | 'ticksAreFrames'>;

/** At constant quality in one pass; with a number of bits in two. */
function passesOf(encoder: KnownEncoder, video: VideoEncoding, options: readonly string[]): Passes {
  const codec = ['-c:v', encoder];
  const { bitrateBps = 0 } = video;
  if (bitrateBps === 0) {
    return { options: [...codec, '-crf', String(video.crf || DEFAULT_CRF[encoder]), ...options] };
  }
  // No limits of a buffer: encoders choose levels by them, and pieces must not differ there.
  const rate = [...codec, '-b:v', String(bitrateBps)];
  switch (encoder) {
    case 'libx264':
    case 'libvpx-vp9': {
      const passed = without(options, '-b:v');
      const pass = (number: number): string[] => [
        ...rate,
        ...passed,
        '-pass',
        String(number),
        '-passlogfile',
        PASS_LOG,
      ];
      const ticksAreFrames = encoder === 'libvpx-vp9';
      return { options: pass(2), firstPass: pass(1), ticksAreFrames };
    }
    case 'libx265': {
      const pass = (number: number): string[] =>
        [...rate, ...options].map((option, i, all) =>
          all[i - 1] === '-x265-params' ? `${option}:pass=${number}:stats=${PASS_LOG}` : option,
        );
      return { options: pass(2), firstPass: pass(1) };
    }
    case 'libsvtav1':
      return { options: [...rate, '-rc', 'vbr', ...options] };
  }
}

/** Options without one that is followed by a value. */
function without(options: readonly string[], name: string): string[] {
  return options.filter((option, i) => option !== name && options[i - 1] !== name);
}

/** A piece's container may not carry what the source's said about colour: say it again. */
export function colourTags({ colour }: Source): string[] {
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
  if (isDeep(source)) return 'yuv420p10le';
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
      return ['-preset', preset || '8', '-svtav1-params', svtParameters(source, threads)];
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

/** Whether the display and the light levels of HDR10 are written into what it makes. */
export function carriesHdr10(encoder: KnownEncoder): boolean {
  return encoder === 'libx265' || encoder === 'libsvtav1';
}

/** SVT-AV1 counts chromaticity from 0 to 1 and luminance in candela. */
function svtParameters(source: Source, threads: number): string {
  const parameters = [`lp=${threads}`];
  const display =
    /^G\((\d+),(\d+)\)B\((\d+),(\d+)\)R\((\d+),(\d+)\)WP\((\d+),(\d+)\)L\((\d+),(\d+)\)$/
      .exec(source.masteringDisplay)
      ?.slice(1)
      .map(Number);
  if (display !== undefined) {
    const [gx, gy, bx, by, rx, ry, wx, wy] = display.map((value) => value / 50_000);
    const [most, least] = display.slice(8).map((value) => value / 10_000);
    parameters.push(
      `mastering-display=G(${gx},${gy})B(${bx},${by})R(${rx},${ry})WP(${wx},${wy})L(${most},${least})`,
    );
  }
  if (source.contentLight !== '') parameters.push(`content-light=${source.contentLight}`);
  return parameters.join(':');
}

const HIGH_RANGE: ReadonlySet<string> = new Set(['smpte2084', 'arib-std-b67']);

/** PQ or HLG. */
function isHighRange({ colour }: Source): boolean {
  return HIGH_RANGE.has(colour.transfer);
}

/** What the film is once its tones are mapped. */
function inStandardRange(source: Source): Source {
  const colour = { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' };
  return { ...source, colour, pixelFormat: 'yuv420p', masteringDisplay: '', contentLight: '' };
}

/** To light, to the smaller gamut, with bright parts compressed, and back to a signal. */
function toneFilters({ colour }: Source): string[] {
  const known = (tag: string, usual: string): string => (tag === 'unknown' ? usual : tag);
  const from = [
    `tin=${colour.transfer}`,
    `min=${known(colour.space, 'bt2020nc')}`,
    `pin=${known(colour.primaries, 'bt2020')}`,
    `rin=${known(colour.range, 'tv')}`,
  ].join(':');
  return [
    `zscale=${from}:t=linear:npl=100`,
    'format=gbrpf32le',
    'zscale=p=bt709',
    'tonemap=hable:desat=0',
    'zscale=t=bt709:m=bt709:r=tv',
  ];
}
