/** The recipe `audio`: the sound of a film as a file of its own, as it is or coded anew, as loud as is wanted. */
import type { Loudness, SoundCoding } from '../domain/film-tasks.ts';
import type { File } from '../domain/task.ts';
import { faultOfOutputName, givenSource, stemOf } from './named-files.ts';
import {
  baseName,
  demand,
  fileInput,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  output,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface AudioRequest {
  readonly source?: File | undefined;
  readonly sound: string;
  readonly coding?: SoundCoding | undefined;
  readonly tracks: readonly number[];
}

interface SoundFile {
  /** The usual one first; each may be chosen. */
  readonly encoders: readonly string[];
  readonly holdsMany: boolean;
}

const SOUND_FILES: ReadonlyMap<string, SoundFile> = new Map([
  ['m4a', { encoders: ['aac', 'alac', 'copy'], holdsMany: true }],
  [
    'mka',
    {
      encoders: ['libopus', 'aac', 'flac', 'libmp3lame', 'pcm_s16le', 'pcm_s24le', 'copy'],
      holdsMany: true,
    },
  ],
  ['flac', { encoders: ['flac', 'copy'], holdsMany: false }],
  ['wav', { encoders: ['pcm_s16le', 'pcm_s24le', 'copy'], holdsMany: false }],
  ['opus', { encoders: ['libopus', 'copy'], holdsMany: false }],
  ['mp3', { encoders: ['libmp3lame', 'copy'], holdsMany: false }],
]);
const OPUS_RATES = [8000, 12_000, 16_000, 24_000, 48_000];
const MP3_RATES = [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const LOSSLESS = /^(flac|alac|pcm_\w+)$/;

export function audioSteps(request: AudioRequest): RecipePlan {
  const given = givenSource(request.source);
  if (given.state === 'invalid') return given;
  const { source } = given;
  const { tracks } = request;
  const sound = request.sound || `${stemOf(source.name)}.m4a`;
  const extension = /.\.([^.]+)$/.exec(sound)?.[1]?.toLowerCase() ?? '';
  const file = SOUND_FILES.get(extension);
  const nameFault = faultOfOutputName(sound);
  if (nameFault !== undefined) return invalid(`the sound's name ${quote(sound)} ${nameFault}`);
  if (file === undefined) {
    return invalid(
      `the sound's name ${quote(sound)} must end in .${[...SOUND_FILES.keys()].join(', .')}`,
    );
  }
  const coding = withDefaults(request.coding, file);
  const fault = faultOfCoding(coding, extension, file) ?? faultOfTracks(tracks);
  if (fault !== undefined) return invalid(fault);
  const beside = sourceBeside(source, sound, extension);
  const size = source.sizeBytes;
  // Uncompressed it may be larger than what it was taken from.
  const scratch = size * 2 + 4096 * MIB;
  const sounds = patternsOf(sound, extension, file);
  return {
    state: 'ok',
    steps: [
      {
        name: 'sound',
        dependsOn: [],
        parameters: undefined,
        task: {
          kind: { $case: 'extractSound', value: { source: beside.name, sound, coding, tracks } },
        },
        inputs: [fileInput(beside)],
        outputs: [
          ...sounds.map((pattern) => ({ pattern, keep: true, optional: sounds.length > 1 })),
          output('sound.json'),
        ],
        demand: demand(1000, 512 * MIB, scratch, ['tool:ffmpeg']),
        limits: stallsAfter(600_000),
      },
      {
        name: 'proof',
        dependsOn: ['sound'],
        parameters: undefined,
        task: { kind: { $case: 'proveSound', value: { source: baseName(source.name) } } },
        inputs: [...sounds, 'sound.json'].map((pattern) => outputsOf('sound', pattern)),
        outputs: [keptOutput('proof.json')],
        demand: demand(1000, 512 * MIB, scratch, ['tool:ffmpeg']),
        limits: stallsAfter(600_000),
      },
    ],
  };
}

/** The source in the directory of a unit: a sound may be called as it is, or nearly. */
function sourceBeside(source: File, sound: string, extension: string): File {
  const name = baseName(source.name);
  const stem = sound.slice(0, -extension.length - 1);
  const isTaken =
    name === sound || name.startsWith(`${stem}-`) || /^(sound|proof)\.json$/.test(name);
  return { ...source, name: isTaken ? `film/${name}` : name };
}

/** `talk.flac`, and where it takes one track only `talk-1.flac`, `talk-2.flac` … */
function patternsOf(sound: string, extension: string, file: SoundFile): readonly string[] {
  if (file.holdsMany) return [sound];
  return [sound, `${sound.slice(0, -extension.length - 1)}-*${sound.slice(-extension.length - 1)}`];
}

function withDefaults(coding: SoundCoding | undefined, file: SoundFile): SoundCoding {
  return {
    encoder: coding?.encoder || (file.encoders[0] ?? ''),
    bitrateBps: coding?.bitrateBps ?? 0,
    channels: coding?.channels ?? 0,
    sampleRate: coding?.sampleRate ?? 0,
    loudness: coding?.loudness,
  };
}

function faultOfCoding(
  coding: SoundCoding,
  extension: string,
  file: SoundFile,
): string | undefined {
  const { encoder, bitrateBps, channels, sampleRate, loudness } = coding;
  if (!file.encoders.includes(encoder)) {
    return `.${extension} does not take ${quote(encoder)}: use ${file.encoders.join(', ')}`;
  }
  const isChanged = bitrateBps + channels + sampleRate > 0 || loudness !== undefined;
  if (encoder === 'copy' && isChanged) {
    return 'copied sound stays as it is: no bitrate, channels, rate or loudness; choose an encoder';
  }
  if (bitrateBps > 0 && LOSSLESS.test(encoder))
    return `${encoder} loses nothing: it has no bitrate`;
  if (bitrateBps !== 0 && !isWhole(bitrateBps, 8_000, 512_000)) {
    return `audio bitrate ${bitrateBps} is out of range: use 8000 to 512000 bits a second`;
  }
  if (!isWhole(channels, 0, 2)) return `${channels} channels: use 1 or 2; 0 keeps the source's`;
  return faultOfRate(encoder, sampleRate) ?? faultOfLoudness(loudness);
}

function faultOfRate(encoder: string, sampleRate: number): string | undefined {
  if (sampleRate === 0) return undefined;
  const only =
    encoder === 'libopus' ? OPUS_RATES : encoder === 'libmp3lame' ? MP3_RATES : undefined;
  if (only !== undefined && !only.includes(sampleRate)) {
    return `${encoder} takes no ${sampleRate} samples a second: use ${only.join(', ')}`;
  }
  return isWhole(sampleRate, 8000, 96_000)
    ? undefined
    : `${sampleRate} samples a second are out of range: use 8000 to 96000`;
}

function faultOfLoudness(loudness: Loudness | undefined): string | undefined {
  if (loudness === undefined) return undefined;
  const { targetLufs, truePeakDbtp } = loudness;
  if (!(targetLufs >= -50 && targetLufs <= -5)) {
    return `a loudness of ${targetLufs} LUFS is out of range: use -50 to -5`;
  }
  return truePeakDbtp >= -9 && truePeakDbtp <= 0
    ? undefined
    : `a true peak of ${truePeakDbtp} dBTP is out of range: use -9 to 0`;
}

function faultOfTracks(tracks: readonly number[]): string | undefined {
  const wrong = tracks.find((track) => !isWhole(track, 1, 500));
  if (wrong !== undefined) return `track ${wrong} is none: the first is 1`;
  return new Set(tracks).size === tracks.length ? undefined : 'a track is named twice';
}
