/**
 * The recipe `transcode`: split → encode each piece → join with the audio → prove. Pure: a request in,
 * steps or the first fault out. Nothing here looks at the film; that is the split unit's work.
 */
import { faultOfName } from '../domain/names.ts';
import type {
  AudioEncoding,
  Demand,
  File,
  Input,
  Limits,
  OutputPattern,
  StepSpec,
  VideoEncoding,
} from '../domain/task.ts';
import { AUDIO_ENCODERS, containerOf, ENCODERS, type Container } from './codings.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface TranscodeRequest {
  readonly source?: File | undefined;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  /** Name of the film; its extension chooses the container. */
  readonly film: string;
  readonly pieceMs: number;
  /** Pieces may be encoded by different versions of ffmpeg. */
  readonly mixedEncoders?: boolean | undefined;
}

export type TranscodePlan =
  | { readonly state: 'ok'; readonly steps: readonly StepSpec[] }
  /** `message` is one line that names the field and what it may be. */
  | { readonly state: 'invalid'; readonly message: string };

const MIB = 1024 ** 2;

const DEFAULT_PIECE_MS = 10_000;
const MIN_PIECE_MS = 500;
const MAX_PIECE_MS = 3_600_000;
const MAX_SIDE = 8192;
const MAX_PIXELS = 36_000_000;
const MAX_THREADS = 64;

/**
 * One thread for each encoder unless the user asks for more. The pieces are the parallelism: an agent
 * runs as many units as it has cores, every box can take one, and no encoder loses to its own locks.
 */
const DEFAULT_THREADS = 1;

/** Names that the runners use in a unit's directory. */
const RESERVED =
  /^(plan\.json|proof\.json|chunks\.ffconcat|(piece|chunk|seal|audio|thumbs|packets)[-.].*)$/;

export function transcodeSteps(request: TranscodeRequest): TranscodePlan {
  const { source } = request;
  if (source === undefined) return invalid('source is missing: name an uploaded file');
  const sourceFault = faultOfName(source.name);
  if (sourceFault !== undefined) return invalid(`the source's name ${sourceFault}`);
  if (source.sizeBytes === 0) return invalid(`${source.name} is empty`);
  const film = request.film === '' ? filmNameOf(source.name) : request.film;
  const container = containerOf(film);
  const filmFault = faultOfFilm(film);
  if (filmFault !== undefined) return invalid(`the film's name ${quote(film)} ${filmFault}`);
  if (container === undefined) {
    return invalid(`the film's name ${quote(film)} must end in .mp4, .mov, .mkv or .webm`);
  }
  const video = withVideoDefaults(request.video, container);
  const audio = withAudioDefaults(request.audio, container);
  const pieceMs = request.pieceMs || DEFAULT_PIECE_MS;
  const fault =
    faultOfVideo(video, container) ?? faultOfAudio(audio, container) ?? faultOfPieceMs(pieceMs);
  if (fault !== undefined) return invalid(fault);
  return {
    state: 'ok',
    steps: buildSteps({
      source,
      film,
      video,
      audio,
      pieceMs,
      isMixed: request.mixedEncoders === true,
    }),
  };
}

function invalid(message: string): TranscodePlan {
  return { state: 'invalid', message };
}

function withVideoDefaults(video: VideoEncoding | undefined, container: Container): VideoEncoding {
  const encoder = video?.encoder || (container === 'webm' ? 'libvpx-vp9' : 'libx264');
  const rule = ENCODERS.get(encoder);
  return {
    encoder,
    crf: video?.crf || (rule?.defaultCrf ?? 0),
    preset: video?.preset || (rule?.defaultPreset ?? ''),
    width: video?.width ?? 0,
    height: video?.height ?? 0,
    threads: video?.threads || DEFAULT_THREADS,
  };
}

function withAudioDefaults(audio: AudioEncoding | undefined, container: Container): AudioEncoding {
  const encoder = audio?.encoder || (container === 'webm' ? 'libopus' : 'aac');
  return { encoder, bitrateBps: audio?.bitrateBps ?? 0 };
}

function faultOfVideo(video: VideoEncoding, container: Container): string | undefined {
  const rule = ENCODERS.get(video.encoder);
  if (rule === undefined) {
    return `video encoder ${quote(video.encoder)} is not known: use ${[...ENCODERS.keys()].join(', ')}`;
  }
  if (!rule.containers.includes(container)) {
    return `.${container} does not take ${video.encoder}: use ${rule.containers.join(', ')}`;
  }
  if (!isWhole(video.crf, 1, rule.maxCrf)) {
    return `crf ${video.crf} is out of range for ${video.encoder}: use 1 to ${rule.maxCrf}`;
  }
  if (!rule.presets.includes(video.preset)) {
    return `preset ${quote(video.preset)} is not one of ${video.encoder}: use ${rule.presets.join(', ')}`;
  }
  if (!isWhole(video.threads, 1, MAX_THREADS)) {
    return `threads ${video.threads} is out of range: use 1 to ${MAX_THREADS}`;
  }
  return faultOfSize(video);
}

function faultOfSize({ width, height }: VideoEncoding): string | undefined {
  for (const [name, side] of Object.entries({ width, height })) {
    const fits = side === 0 || (isWhole(side, 16, MAX_SIDE) && side % 2 === 0);
    if (!fits) return `${name} ${side} must be even, from 16 to ${MAX_SIDE}; 0 keeps the shape`;
  }
  return width * height > MAX_PIXELS ? `${width}x${height} is beyond 8K` : undefined;
}

function faultOfAudio(audio: AudioEncoding, container: Container): string | undefined {
  const containers = AUDIO_ENCODERS.get(audio.encoder);
  if (containers === undefined) {
    return `audio encoder ${quote(audio.encoder)} is not known: use ${[...AUDIO_ENCODERS.keys()].join(', ')}`;
  }
  if (!containers.includes(container)) {
    return `.${container} does not take ${audio.encoder}: use ${containers.join(', ')}`;
  }
  if (audio.bitrateBps === 0) return undefined;
  if (audio.encoder === 'copy') return 'a copied audio track has no bitrate of ours: leave it 0';
  return isWhole(audio.bitrateBps, 8_000, 1_000_000)
    ? undefined
    : `audio bitrate ${audio.bitrateBps} is out of range: use 8000 to 1000000 bits a second`;
}

function faultOfPieceMs(pieceMs: number): string | undefined {
  return isWhole(pieceMs, MIN_PIECE_MS, MAX_PIECE_MS)
    ? undefined
    : `piece length ${pieceMs} ms is out of range: use ${MIN_PIECE_MS} to ${MAX_PIECE_MS}`;
}

function faultOfFilm(film: string): string | undefined {
  const fault = faultOfName(film);
  if (fault !== undefined) return fault;
  if (film.includes('/')) return 'has a slash: give a name, not a path';
  if (film.includes('*')) return 'has a *';
  return RESERVED.test(film) ? 'is one that the farm itself uses: choose another' : undefined;
}

interface Wanted {
  readonly source: File;
  readonly film: string;
  readonly video: VideoEncoding;
  readonly audio: AudioEncoding;
  readonly pieceMs: number;
  readonly isMixed: boolean;
}

function buildSteps(wanted: Wanted): readonly StepSpec[] {
  const { film, video, audio, pieceMs } = wanted;
  const size = wanted.source.sizeBytes;
  // Failures name it: only where the film lies beside it must it give way.
  const source = sourceBeside(wanted.source);
  const sourceByFilm = sourceBeside(wanted.source, film);
  const ffmpeg = ['tool:ffmpeg'];
  const oneUnit = { parameters: undefined, limits: stallsAfter(600_000) };
  const sourceFile: Input = { kind: { $case: 'file', value: source } };
  const sourceFileByFilm: Input = { kind: { $case: 'file', value: sourceByFilm } };
  // A piece is a fraction of the source, except where the film cannot be cut at all.
  const pieceScratch = Math.min(size, 1024 * MIB) * 2;
  return [
    {
      ...oneUnit,
      name: 'split',
      dependsOn: [],
      task: { kind: { $case: 'split', value: { source: source.name, pieceMs } } },
      inputs: [sourceFile],
      outputs: [output('plan.json'), output('piece-*')],
      demand: demand(1000, 256 * MIB, size * 2, ffmpeg),
    },
    {
      limits: stallsAfter(300_000),
      // What two versions made can seldom be joined.
      ...(wanted.isMixed ? {} : { uniform: 'ffmpeg' }),
      name: 'encode',
      dependsOn: ['split'],
      parameters: { kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } } },
      task: { kind: { $case: 'encode', value: { video } } },
      inputs: [{ kind: { $case: 'item', value: true } }, outputsOf('split', 'plan.json')],
      outputs: [output('chunk-*'), output('seal-*')],
      demand: demand(video.threads * 1000, ramFor(video), pieceScratch, [
        ...ffmpeg,
        `encoder:${video.encoder}`,
      ]),
    },
    {
      ...oneUnit,
      name: 'audio',
      dependsOn: [],
      task: { kind: { $case: 'audio', value: { source: source.name, audio } } },
      inputs: [sourceFile],
      outputs: [{ ...output('audio.*'), optional: true }],
      demand: demand(1000, 256 * MIB, size * 2, ffmpeg),
    },
    {
      ...oneUnit,
      name: 'concat',
      dependsOn: ['split', 'encode', 'audio'],
      task: { kind: { $case: 'concat', value: { source: sourceByFilm.name, film } } },
      inputs: [
        sourceFileByFilm,
        outputsOf('split', 'plan.json'),
        outputsOf('encode', 'chunk-*'),
        outputsOf('encode', 'seal-*'),
        outputsOf('audio', 'audio.*'),
      ],
      outputs: [{ ...output(film), keep: true }],
      // Source, chunks and film; moving the index to the front rewrites the film in place.
      demand: demand(1000, 512 * MIB, size * 3, ffmpeg),
    },
    {
      ...oneUnit,
      name: 'proof',
      dependsOn: ['split', 'encode', 'audio', 'concat'],
      task: { kind: { $case: 'proveFilm', value: { source: sourceByFilm.name, film } } },
      inputs: [
        sourceFileByFilm,
        outputsOf('split', 'plan.json'),
        outputsOf('encode', 'seal-*'),
        outputsOf('audio', 'audio.json'),
        outputsOf('concat', film),
      ],
      outputs: [{ ...output('proof.json'), keep: true }],
      demand: demand(1000, 512 * MIB, size * 2, ffmpeg),
    },
  ];
}

/** The source in the directory of a unit: it shares no name with what else is there. */
function sourceBeside(source: File, film?: string): File {
  const name = baseName(source.name);
  const taken = name === film || RESERVED.test(name);
  return { ...source, name: taken ? `source-${name}` : name };
}

function ramFor(video: VideoEncoding): number {
  const base = ENCODERS.get(video.encoder)?.ramBytes ?? 1024 * MIB;
  // More threads hold more pictures at once.
  return base + (video.threads - 1) * 64 * MIB;
}

function demand(
  cpuMillis: number,
  ramBytes: number,
  scratchBytes: number,
  attributes: readonly string[],
): Demand {
  return {
    cpuMillis,
    ramBytes,
    gpus: 0,
    vramBytes: 0,
    scratchBytes: scratchBytes + 64 * MIB,
    encoderSessions: 0,
    attributes,
    tickets: {},
  };
}

/**
 * Longer than the farm's default: moving an index to a large film's front, or the first frame of a
 * slow encoder with a long look-ahead, takes minutes without a sign.
 */
function stallsAfter(stallTimeoutMs: number): Limits {
  return { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs };
}

function output(pattern: string): OutputPattern {
  return { pattern, keep: false, optional: false };
}

function outputsOf(step: string, pattern: string): Input {
  return { kind: { $case: 'outputs', value: { step, pattern } } };
}

/** `clips/holiday.mov` → `holiday.mp4`. */
function filmNameOf(source: string): string {
  const base = baseName(source).replaceAll('*', '_');
  return `${base.replace(/(.)\.[^.]*$/, '$1')}.mp4`;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isWhole(value: number, from: number, to: number): boolean {
  return Number.isInteger(value) && value >= from && value <= to;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
