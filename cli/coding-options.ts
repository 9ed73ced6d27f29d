/** How films are to be coded: what commands that encode pieces take, and what they ask the farm for by it. */
import type { OptionSpec } from './command.ts';
import { bitsPerSecond, integerIn, numberIn } from './options.ts';

export interface CodingOptions {
  readonly encoder?: string;
  readonly crf?: number;
  readonly preset?: string;
  readonly audio?: string;
  readonly audioBitrate?: number;
  readonly pieceSeconds?: number;
}

const ENCODER: OptionSpec = {
  flags: '--encoder <name>',
  help: 'libx264, libx265, libsvtav1 or libvpx-vp9 (default: libx264)',
};

export const PRESET: OptionSpec = {
  flags: '--preset <name>',
  help: "the encoder's preset (default: medium)",
};

export const AUDIO_BITRATE: OptionSpec = {
  flags: '--audio-bitrate <rate>',
  help: 'such as 128k, for each track',
  parse: bitsPerSecond,
};

export const MIXED_ENCODERS: OptionSpec = {
  flags: '--mixed-encoders',
  help: 'let different versions of ffmpeg encode pieces (default: one for the film)',
};

/** For one film, whose sound is kept. */
export const CODING_OPTIONS: readonly OptionSpec[] = [
  ENCODER,
  crf('constant quality, smaller is better (default: 20)'),
  PRESET,
  { flags: '--audio <encoder>', help: 'aac, libopus or copy (default: aac)' },
  AUDIO_BITRATE,
  pieceSeconds(10),
];

export function crf(help: string): OptionSpec {
  // In the protocol 0 is the default: whoever says 0 means something else.
  return { flags: '--crf <n>', help, parse: integerIn(1, 63) };
}

export function pieceSeconds(usual: number): OptionSpec {
  return {
    flags: '--piece-seconds <s>',
    help: `wanted length of a piece (default: ${usual})`,
    parse: numberIn(0.1, 3600),
  };
}

/** In the protocol's words: empty and 0 leave a thing to the farm. */
export function codingOf(options: CodingOptions) {
  return {
    video: {
      encoder: options.encoder ?? '',
      crf: options.crf ?? 0,
      preset: options.preset ?? '',
      width: 0,
      height: 0,
      threads: 0,
    },
    audio: { encoder: options.audio ?? '', bitrateBps: options.audioBitrate ?? 0 },
    pieceMs: Math.round((options.pieceSeconds ?? 0) * 1000),
  };
}
