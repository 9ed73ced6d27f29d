/** Encoders and containers that a film may ask for, and which of them go together. */
export type Container = 'mp4' | 'mov' | 'mkv' | 'webm';

interface EncoderRule {
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

/** RAM fits 1080p with room, 4K at common presets; what needs more is learnt by the farm. */
export const ENCODERS: ReadonlyMap<string, EncoderRule> = new Map([
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
