/**
 * Encoders of graphics cards and processors: what each family takes, and how it is told quality or bits. They
 * are proven to work where an agent advertises them; what is told here follows their documentation.
 */
import type { VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';

interface Family {
  readonly pattern: RegExp;
  /** What it takes of 8 and of 10 bits. */
  readonly eightBit: string;
  readonly tenBit: string;
  /** Before the first input. */
  readonly device: readonly string[];
  /** Filters that bring a picture to it, after all others. */
  readonly upload: readonly string[];
  /** Empty where it has no presets. */
  readonly presetOption: string;
  readonly fastestPreset: string;
  readonly atQuality: (crf: number) => readonly string[];
  readonly atBitrate: (bitrateBps: number) => readonly string[];
}

const DEFAULT_QUALITY = 24;

const FAMILIES: readonly Family[] = [
  {
    pattern: /^(h264|hevc|av1)_nvenc$/,
    eightBit: 'yuv420p',
    tenBit: 'p010le',
    device: [],
    upload: [],
    presetOption: '-preset',
    fastestPreset: 'p1',
    atQuality: (crf) => ['-rc', 'vbr', '-cq', String(crf), '-b:v', '0'],
    atBitrate: (bitrate) => ['-rc', 'vbr', '-multipass', 'fullres', '-b:v', String(bitrate)],
  },
  {
    pattern: /^(h264|hevc|av1)_qsv$/,
    eightBit: 'nv12',
    tenBit: 'p010le',
    device: [],
    upload: [],
    presetOption: '-preset',
    fastestPreset: 'veryfast',
    atQuality: (crf) => ['-global_quality', String(crf)],
    atBitrate: (bitrate) => ['-b:v', String(bitrate)],
  },
  {
    pattern: /^(h264|hevc|av1)_vaapi$/,
    eightBit: 'nv12',
    tenBit: 'p010le',
    device: ['-init_hw_device', 'vaapi=gpu', '-filter_hw_device', 'gpu'],
    upload: ['hwupload'],
    presetOption: '',
    fastestPreset: '',
    atQuality: (crf) => ['-rc_mode', 'CQP', '-qp', String(crf)],
    atBitrate: (bitrate) => ['-rc_mode', 'VBR', '-b:v', String(bitrate)],
  },
  {
    pattern: /^(h264|hevc|av1)_amf$/,
    eightBit: 'nv12',
    tenBit: 'p010le',
    device: [],
    upload: [],
    presetOption: '-quality',
    fastestPreset: 'speed',
    atQuality: (crf) => ['-rc', 'cqp', '-qp_i', String(crf), '-qp_p', String(crf)],
    atBitrate: (bitrate) => ['-rc', 'vbr_peak', '-b:v', String(bitrate)],
  },
  {
    pattern: /^(h264|hevc)_videotoolbox$/,
    eightBit: 'yuv420p',
    tenBit: 'p010le',
    device: [],
    upload: [],
    presetOption: '',
    fastestPreset: '',
    // It counts from 1 to 100, and more is better.
    atQuality: (crf) => ['-q:v', String(Math.max(1, Math.round(100 - (crf * 100) / 51)))],
    atBitrate: (bitrate) => ['-b:v', String(bitrate)],
  },
];

export interface HardwareSettings {
  readonly pixelFormat: string;
  readonly device: readonly string[];
  readonly upload: readonly string[];
  readonly options: readonly string[];
}

export function isHardware(encoder: string): boolean {
  return familyOf(encoder) !== undefined;
}

/** Undefined for encoders that are none of these. */
export function fastestHardwarePreset(encoder: string): string | undefined {
  return familyOf(encoder)?.fastestPreset;
}

/** Undefined for encoders that are none of these. `isTenBit`: of the pictures that it is given. */
export function hardwareSettings(
  encoder: string,
  video: VideoEncoding,
  isTenBit: boolean,
): HardwareSettings | undefined {
  const family = familyOf(encoder);
  if (family === undefined) return undefined;
  const { bitrateBps = 0, preset } = video;
  const rate =
    bitrateBps > 0 ? family.atBitrate(bitrateBps) : family.atQuality(video.crf || DEFAULT_QUALITY);
  const speed = family.presetOption === '' || preset === '' ? [] : [family.presetOption, preset];
  return {
    // No card encodes H.264 of ten bits.
    pixelFormat: isTenBit && !encoder.startsWith('h264') ? family.tenBit : family.eightBit,
    device: family.device,
    upload: family.upload,
    options: ['-c:v', encoder, ...speed, ...rate],
  };
}

function familyOf(encoder: string): Family | undefined {
  return FAMILIES.find(({ pattern }) => pattern.test(encoder));
}
