/** Encoders and containers that a film may ask for, and which of them go together. */
export type Container = 'mp4' | 'mov' | 'mkv' | 'webm';

export interface EncoderRule {
  /** Of a graphics card or processor: each film that is encoded holds one of its sessions. */
  readonly isHardware?: boolean | undefined;
  readonly defaultCrf: number;
  readonly maxCrf: number;
  readonly defaultPreset: string;
  readonly presets: readonly string[];
  readonly containers: readonly Container[];
  readonly ramBytes: number;
}

const MIB = 1024 ** 2;
const X26X_PRESETS =
  'ultrafast superfast veryfast faster fast medium slow slower veryslow placebo'.split(' ');
const numbers = (last: number): string[] => Array.from({ length: last + 1 }, (_, i) => String(i));

/** The one that is taken first, where an agent has several, first. */
export const HARDWARE_FAMILIES: ReadonlyMap<
  string,
  Pick<EncoderRule, 'defaultPreset' | 'presets'>
> = new Map([
  ['nvenc', { defaultPreset: 'p5', presets: 'p1 p2 p3 p4 p5 p6 p7'.split(' ') }],
  [
    'qsv',
    {
      defaultPreset: 'medium',
      presets: 'veryfast faster fast medium slow slower veryslow'.split(' '),
    },
  ],
  ['vaapi', { defaultPreset: '', presets: [''] }],
  ['amf', { defaultPreset: 'balanced', presets: ['speed', 'balanced', 'quality'] }],
  ['videotoolbox', { defaultPreset: '', presets: [''] }],
]);

/** `h264_nvenc`, `av1_vaapi` …; undefined for software. */
function hardwareRule(encoder: string): EncoderRule | undefined {
  const [, codec, name] = /^(h264|hevc|av1)_([a-z]+)$/.exec(encoder) ?? [];
  const family = HARDWARE_FAMILIES.get(name ?? '');
  if (family === undefined || (codec === 'av1' && name === 'videotoolbox')) return undefined;
  return {
    ...family,
    isHardware: true,
    defaultCrf: codec === 'av1' ? 30 : 24,
    maxCrf: 51,
    containers: codec === 'av1' ? ['mp4', 'mkv', 'webm'] : ['mp4', 'mov', 'mkv'],
    ramBytes: 768 * MIB,
  };
}

/** What is known of an encoder, of software or hardware. */
export function encoderRule(encoder: string): EncoderRule | undefined {
  return ENCODERS.get(encoder) ?? hardwareRule(encoder);
}

/** A constant quality of one encoder, as another has it: as far from what it usually takes. */
export function sameQuality(crf: number, from: string, to: string): number {
  const [there, here] = [encoderRule(from), encoderRule(to)];
  if (there === undefined || here === undefined) return crf;
  return Math.min(here.maxCrf, Math.max(1, crf - there.defaultCrf + here.defaultCrf));
}

/** RAM fits 1080p with room, 4K at common presets; what needs more is learnt by the farm. */
export const ENCODERS: ReadonlyMap<string, EncoderRule> = new Map<string, EncoderRule>([
  [
    'libx264',
    {
      defaultCrf: 20,
      maxCrf: 51,
      defaultPreset: 'medium',
      presets: X26X_PRESETS,
      containers: ['mp4', 'mov', 'mkv'],
      ramBytes: 768 * MIB,
    },
  ],
  [
    'libx265',
    {
      defaultCrf: 24,
      maxCrf: 51,
      defaultPreset: 'medium',
      presets: X26X_PRESETS,
      containers: ['mp4', 'mov', 'mkv'],
      ramBytes: 1024 * MIB,
    },
  ],
  [
    'libsvtav1',
    {
      defaultCrf: 30,
      maxCrf: 63,
      defaultPreset: '8',
      presets: numbers(13),
      containers: ['mp4', 'mkv', 'webm'],
      ramBytes: 1536 * MIB,
    },
  ],
  [
    'libvpx-vp9',
    {
      defaultCrf: 31,
      maxCrf: 63,
      defaultPreset: '2',
      presets: numbers(8),
      containers: ['mp4', 'mkv', 'webm'],
      ramBytes: 768 * MIB,
    },
  ],
]);

export const AUDIO_ENCODERS: ReadonlyMap<string, readonly Container[]> = new Map([
  ['aac', ['mp4', 'mov', 'mkv']],
  ['libopus', ['mp4', 'mkv', 'webm']],
  ['copy', ['mp4', 'mov', 'mkv', 'webm']],
  // No sound at all.
  ['none', ['mp4', 'mov', 'mkv', 'webm']],
]);

export function containerOf(film: string): Container | undefined {
  const extension = /.\.([^.]+)$/.exec(film)?.[1]?.toLowerCase();
  return (['mp4', 'mov', 'mkv', 'webm'] as const).find((container) => container === extension);
}
