/**
 * The recipe `transcode`: split → encode each piece → join with the audio → prove. Pure: a request in,
 * steps or the first fault out. Nothing here looks at the film; that is the split unit's work.
 */
import { faultOfName } from '../domain/names.ts';
import type { AudioEncoding, File, FilmBranch, VideoEncoding } from '../domain/task.ts';
import { AUDIO_ENCODERS, containerOf, ENCODERS, type Container } from './codings.ts';
import { type ChunkStep, filmChain, pieceScratchBytes, RESERVED } from './film-chain.ts';
import {
  baseName,
  demand,
  invalid,
  isWhole,
  MIB,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';

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

export function transcodeSteps(request: TranscodeRequest): RecipePlan {
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
  const chunks = encodeStep(source, video, request.mixedEncoders === true);
  return { state: 'ok', steps: filmChain({ source, film, audio, pieceMs, chunks }) };
}

export function encodeStep(
  source: File,
  video: VideoEncoding,
  isMixed: boolean,
  branch?: FilmBranch,
): ChunkStep {
  const attributes = ['tool:ffmpeg', `encoder:${video.encoder}`];
  return {
    name: 'encode',
    task: { $case: 'encode', value: { video, ...(branch !== undefined && { branch }) } },
    inputs: [],
    demand: demand(video.threads * 1000, ramFor(video), pieceScratchBytes(source), attributes),
    limits: stallsAfter(300_000),
    // What two versions made can seldom be joined.
    ...(isMixed ? {} : { uniform: 'ffmpeg' }),
  };
}

export function withVideoDefaults(
  video: VideoEncoding | undefined,
  container: Container,
): VideoEncoding {
  const encoder = video?.encoder || (container === 'webm' ? 'libvpx-vp9' : 'libx264');
  const rule = ENCODERS.get(encoder);
  return {
    encoder,
    crf: video?.crf || (rule?.defaultCrf ?? 0),
    preset: video?.preset || (rule?.defaultPreset ?? ''),
    width: video?.width ?? 0,
    height: video?.height ?? 0,
    threads: video?.threads || DEFAULT_THREADS,
    ...(video?.maxBitrateBps !== undefined && { maxBitrateBps: video.maxBitrateBps }),
  };
}

export function withAudioDefaults(
  audio: AudioEncoding | undefined,
  container: Container,
): AudioEncoding {
  const encoder = audio?.encoder || (container === 'webm' ? 'libopus' : 'aac');
  const { tracks } = audio ?? {};
  return { encoder, bitrateBps: audio?.bitrateBps ?? 0, ...(tracks !== undefined && { tracks }) };
}

export function faultOfVideo(video: VideoEncoding, container: Container): string | undefined {
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
  return faultOfCeiling(video) ?? faultOfSize(video);
}

const MIN_BITRATE = 50_000;
const MAX_BITRATE = 400_000_000;

function faultOfCeiling({ encoder, maxBitrateBps = 0 }: VideoEncoding): string | undefined {
  if (maxBitrateBps === 0) return undefined;
  if (encoder === 'libsvtav1')
    return `${encoder} takes no ceiling of the bit rate here: leave it out`;
  return isWhole(maxBitrateBps, MIN_BITRATE, MAX_BITRATE)
    ? undefined
    : `a ceiling of ${maxBitrateBps} bits a second is out of range: use ${MIN_BITRATE} to ${MAX_BITRATE}`;
}

function faultOfSize({ width, height }: VideoEncoding): string | undefined {
  for (const [name, side] of Object.entries({ width, height })) {
    const fits = side === 0 || (isWhole(side, 16, MAX_SIDE) && side % 2 === 0);
    if (!fits) return `${name} ${side} must be even, from 16 to ${MAX_SIDE}; 0 keeps the shape`;
  }
  return width * height > MAX_PIXELS ? `${width}x${height} is beyond 8K` : undefined;
}

export function faultOfAudio(audio: AudioEncoding, container: Container): string | undefined {
  const containers = AUDIO_ENCODERS.get(audio.encoder);
  if (containers === undefined) {
    return `audio encoder ${quote(audio.encoder)} is not known: use ${[...AUDIO_ENCODERS.keys()].join(', ')}`;
  }
  if (!containers.includes(container)) {
    return `.${container} does not take ${audio.encoder}: use ${containers.join(', ')}`;
  }
  const fault = faultOfTracks(audio);
  if (fault !== undefined || audio.bitrateBps === 0) return fault;
  if (audio.encoder === 'copy') return 'a copied audio track has no bitrate of ours: leave it 0';
  if (audio.encoder === 'none') return 'a film without sound has no audio bitrate: leave it 0';
  return isWhole(audio.bitrateBps, 8_000, 1_000_000)
    ? undefined
    : `audio bitrate ${audio.bitrateBps} is out of range: use 8000 to 1000000 bits a second`;
}

const LANGUAGE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$/;
const MAX_LANGUAGES = 32;

function faultOfTracks({ encoder, tracks }: AudioEncoding): string | undefined {
  if (tracks === undefined) return undefined;
  if (encoder === 'none')
    return 'a film without sound has no audio tracks to choose: leave them out';
  if (tracks.languages.length > MAX_LANGUAGES) {
    return `audio tracks of ${tracks.languages.length} languages; the most is ${MAX_LANGUAGES}`;
  }
  const wrong = tracks.languages.find((language) => !LANGUAGE.test(language));
  return wrong === undefined
    ? undefined
    : `audio language ${quote(wrong)} is none: use codes such as eng, de or pt-BR`;
}

export function faultOfPieceMs(pieceMs: number): string | undefined {
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

function ramFor(video: VideoEncoding): number {
  const base = ENCODERS.get(video.encoder)?.ramBytes ?? 1024 * MIB;
  // More threads hold more pictures at once.
  return base + (video.threads - 1) * 64 * MIB;
}

/** `clips/holiday.mov` → `holiday.mp4`. */
function filmNameOf(source: string): string {
  const base = baseName(source).replaceAll('*', '_');
  return `${base.replace(/(.)\.[^.]*$/, '$1')}.mp4`;
}
