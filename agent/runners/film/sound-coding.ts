/** What a coder of sound is told, and what has to be known of what comes out of it. */
import { extname } from 'node:path';
import type { SoundCoding } from '../../../proto/gen/furrow/v1/task_film.ts';
import { FilmFault } from './film-fault.ts';
import type { MediaStream } from './source-facts.ts';

/** How one track is coded. */
export interface TrackCoding {
  readonly encoder: string;
  readonly channels: number;
  readonly sampleRate: number;
  /** Raw samples that hold all that a lossless coder keeps; undefined where it loses some. */
  readonly exact?: 'pcm_s16le' | 'pcm_s24le' | undefined;
  /** From the source's samples to the coder's, before any change of their loudness. */
  readonly filters: readonly string[];
  /** For the coder, of the i-th track of an output. */
  readonly options: (i: number) => readonly string[];
  /** What a decoder may find more or less, in samples. */
  readonly slackSamples: number;
}

const MUXERS: Readonly<Record<string, readonly string[]>> = {
  '.m4a': ['-movflags', '+faststart', '-f', 'ipod'],
  '.mka': ['-f', 'matroska'],
  '.flac': ['-f', 'flac'],
  // Beyond 4 GB WAV counts in another way, which all but old programs read.
  '.wav': ['-rf64', 'auto', '-f', 'wav'],
  '.opus': ['-f', 'opus'],
  '.mp3': ['-f', 'mp3'],
};

/** Throws FilmFault `invalid-input` for a name that says no container. */
export function soundMuxer(sound: string): readonly string[] {
  const muxer = MUXERS[extname(sound).toLowerCase()];
  if (muxer !== undefined) return muxer;
  const known = Object.keys(MUXERS).join(', ');
  throw new FilmFault('invalid-input', `${sound}: a sound's name ends in ${known}`);
}

/** Whether the container of this name holds several tracks. */
export function holdsMany(sound: string): boolean {
  return ['.m4a', '.mka'].includes(extname(sound).toLowerCase());
}

const MP3_RATES = [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000];
const OPUS_RATES = [48_000, 24_000, 16_000, 12_000, 8000];
const MAX_CHANNELS: Readonly<Record<string, number>> = { libmp3lame: 2, libopus: 8 };
const KNOWN = 'aac alac libopus flac libmp3lame pcm_s16le pcm_s24le'.split(' ');

/** Throws FilmFault `invalid-input` for an encoder that is not known, or a track that says nothing. */
export function trackCoding(coding: SoundCoding, track: MediaStream): TrackCoding {
  const { encoder } = coding;
  if (!KNOWN.includes(encoder)) {
    throw new FilmFault('invalid-input', `audio encoder ${JSON.stringify(encoder)} is not known`);
  }
  const { channels = 0, sample_rate } = track;
  const rate = Number(sample_rate);
  if (!(channels >= 1 && rate >= 1000)) {
    throw new FilmFault('invalid-input', `audio track ${track.index} says no rate or no channels`);
  }
  const outChannels = coding.channels || Math.min(channels, MAX_CHANNELS[encoder] ?? 8);
  const sampleRate = coding.sampleRate || usualRate(encoder, rate);
  const layout = layoutOf(encoder, outChannels);
  const exact = exactFormat(encoder, track);
  return {
    encoder,
    channels: outChannels,
    sampleRate,
    exact,
    filters: [
      // Silence where the film has none yet, so that the sound lies as it does in the film.
      `aresample=${sampleRate}:async=1:first_pts=0`,
      layout === undefined ? '' : `aformat=channel_layouts=${layout}`,
    ].filter((filter) => filter !== ''),
    options: (i) => [
      `-c:a:${i}`,
      encoder,
      ...(coding.bitrateBps > 0 ? [`-b:a:${i}`, String(coding.bitrateBps)] : []),
      ...(exact === undefined || encoder === exact
        ? []
        : [`-sample_fmt:a:${i}`, sampleFormat(encoder, exact)]),
    ],
    slackSamples: exact === undefined ? slackOf(encoder, sampleRate) : 0,
  };
}

/** Undefined where the encoder says itself what it takes. */
function layoutOf(encoder: string, channels: number): string | undefined {
  if (channels <= 2) return channels === 1 ? 'mono' : 'stereo';
  return encoder === 'libopus' ? '3.0|quad|5.0|5.1|6.1|7.1' : undefined;
}

/** Sixteen bits hold what most sources have; more is kept where there is more. */
function exactFormat(encoder: string, track: MediaStream): TrackCoding['exact'] {
  if (encoder === 'pcm_s16le' || encoder === 'pcm_s24le') return encoder;
  if (encoder !== 'flac' && encoder !== 'alac') return undefined;
  const isWide =
    Number(track.bits_per_raw_sample ?? 0) > 16 ||
    /^pcm_[sf](24|32|64)/.test(track.codec_name ?? '');
  return isWide ? 'pcm_s24le' : 'pcm_s16le';
}

function sampleFormat(encoder: string, exact: string): string {
  return `${exact === 'pcm_s24le' ? 's32' : 's16'}${encoder === 'alac' ? 'p' : ''}`;
}

function usualRate(encoder: string, rate: number): number {
  const among =
    encoder === 'libopus' ? OPUS_RATES : encoder === 'libmp3lame' ? MP3_RATES : undefined;
  if (encoder === 'libopus') return 48_000;
  if (among === undefined) return Math.min(96_000, rate);
  return among.includes(rate) ? rate : 48_000;
}

/** A lead-in that a container does not hide, and a last frame that is filled up. */
function slackOf(encoder: string, sampleRate: number): number {
  switch (encoder) {
    case 'aac':
      return 2 * 1024;
    case 'libmp3lame':
      return 3 * 1152;
    default:
      return Math.ceil(0.06 * sampleRate);
  }
}

/** Of a copied track: what its container may do to the lead-in that its coder made. */
export function copySlack(sampleRate: number): number {
  return Math.max(3 * 1152, Math.ceil(0.12 * sampleRate));
}
