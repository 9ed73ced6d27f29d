/**
 * The recipe `transcode`: split → encode each piece → join with the audio → prove. Pure: a request in,
 * steps or the first fault out. Nothing here looks at the film; that is the split unit's work.
 */
import type {
  AudioEncoding,
  Deinterlace,
  Demand,
  File,
  FilmBranch,
  VideoEncoding,
} from '../domain/task.ts';
import { AUDIO_ENCODERS, containerOf, encoderRule, ENCODERS, type Container } from './codings.ts';
import { chooseEncoder, type FilmAgent } from './encoder-choice.ts';
import { faultOfAim, faultOfAimedPieces, filmAim } from './film-aim.ts';
import { frameRateOf } from './frame-rate.ts';
import { type ChunkStep, filmChain, pieceScratchBytes } from './film-chain.ts';
import { withProxy, type WithProxy } from './proxy.ts';
import { faultOfOutputName, givenSource, stemOf } from './named-files.ts';
import {
  demand,
  invalid,
  isWhole,
  MIB,
  quote,
  type RecipePlan,
  stallsAfter,
  type UnitsAtOnce,
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
  readonly withProxy?: WithProxy | undefined;
  /** Frames a second, such as `25` or `30000/1001`; those of the source when absent or empty. */
  readonly fps?: string | undefined;
  readonly deinterlace?: Deinterlace | undefined;
  /** An encoder of software does the film if that of hardware fails. Undefined: only for `auto`. */
  readonly fallback?: boolean | undefined;
  /** `time` or `scene`; empty or absent for time. */
  readonly pieceBy?: string | undefined;
}

const DEFAULT_PIECE_MS = 10_000;
const PIECES_BY = ['time', 'scene'];
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

/** `agents`: those that may take units of the job; for who leaves the choice of an encoder to the farm. */
export function transcodeSteps(
  request: TranscodeRequest,
  agents: readonly FilmAgent[] = [],
  unitsAtOnce: UnitsAtOnce = nobody,
): RecipePlan {
  const given = givenSource(request.source);
  if (given.state === 'invalid') return given;
  const { source } = given;
  const film = request.film === '' ? `${stemOf(source.name)}.mp4` : request.film;
  const container = containerOf(film);
  const filmFault = faultOfOutputName(film);
  if (filmFault !== undefined) return invalid(`the film's name ${quote(film)} ${filmFault}`);
  if (container === undefined) {
    return invalid(`the film's name ${quote(film)} must end in .mp4, .mov, .mkv or .webm`);
  }
  const choice = chooseEncoder(request, container, agents);
  if (choice.state === 'invalid') return choice;
  const video = withVideoDefaults(choice.video, container);
  const fallback = choice.fallback && withVideoDefaults(choice.fallback, container);
  const audio = withAudioDefaults(request.audio, container);
  const pieceMs = request.pieceMs || DEFAULT_PIECE_MS;
  const rate = frameRateOf(request.fps ?? '');
  const fault =
    faultOfAim(request.video) ??
    (fallback && faultOfVideo(fallback, container)) ??
    faultOfVideo(video, container) ??
    faultOfAudio(audio, container) ??
    faultOfPieceMs(pieceMs) ??
    faultOfAimedPieces(video, pieceMs) ??
    faultOfPieceBy(request.pieceBy ?? '') ??
    (typeof rate === 'string' ? rate : undefined);
  if (fault !== undefined || typeof rate === 'string') return invalid(fault ?? '');
  const { deinterlace } = request;
  const chunks = encodeStep(source, video, request.mixedEncoders === true);
  const cut = {
    ...(rate !== undefined && { retime: { ...rate, factor: 0, between: false } }),
    ...(deinterlace !== undefined && { deinterlace }),
    ...(request.pieceBy === 'scene' && { pieceBy: 'scene' }),
    ...sizedFor(request, chunks.demand, unitsAtOnce),
  };
  const standIn = fallback && standInStep(source, fallback, chunks);
  const measuring = fallback && standIn && { video: fallback, demand: standIn.demand };
  const aim = filmAim(source, video, chunks.demand, measuring);
  const steps = filmChain({ source, film, audio, pieceMs, cut, chunks, standIn, aim });
  const { notes } = choice;
  return withProxy({ state: 'ok', steps, notes }, source, request.withProxy, ['encode']);
}

/** Encodes all pieces if a unit of `chunks` fails: what two encoders made is never joined. */
export function standInStep(source: File, video: VideoEncoding, chunks: ChunkStep): ChunkStep {
  const { task, uniform } = chunks;
  if (task.$case !== 'encode') throw new Error('only an encoder has another to stand in for it');
  const { branch, video: first } = task.value;
  const step = encodeStep(source, video, uniform === undefined, branch);
  const value = { ...task.value, video, inPlaceOf: first?.encoder ?? '' };
  return { ...step, name: 'encode-software', task: { $case: 'encode', value } };
}

const nobody: UnitsAtOnce = () => 0;

/** For the agents at hand, unless a length was asked for; encoders miss a bitrate in pieces that are short. */
function sizedFor(
  { pieceMs, video }: TranscodeRequest,
  encoding: Demand,
  unitsAtOnce: UnitsAtOnce,
): { readonly unitsAtOnce?: number } {
  if (pieceMs > 0 || (video?.bitrateBps ?? 0) > 0) return {};
  const units = unitsAtOnce(encoding);
  return units > 0 ? { unitsAtOnce: units } : {};
}

function faultOfPieceBy(pieceBy: string): string | undefined {
  if (pieceBy === '' || PIECES_BY.includes(pieceBy)) return undefined;
  return `pieces by ${quote(pieceBy)} are not known: use ${PIECES_BY.join(' or ')}`;
}

export function encodeStep(
  source: File,
  video: VideoEncoding,
  isMixed: boolean,
  branch?: FilmBranch,
): ChunkStep {
  const attributes = ['tool:ffmpeg', `encoder:${video.encoder}`];
  const scratch = pieceScratchBytes(source);
  const needs = demand(video.threads * 1000, ramFor(video), scratch, attributes);
  return {
    name: 'encode',
    task: { $case: 'encode', value: { video, ...(branch !== undefined && { branch }) } },
    inputs: [],
    demand: { ...needs, encoderSessions: encoderRule(video.encoder)?.isHardware === true ? 1 : 0 },
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
  const rule = encoderRule(encoder);
  return {
    encoder,
    crf: video?.crf || (rule?.defaultCrf ?? 0),
    preset: video?.preset || (rule?.defaultPreset ?? ''),
    width: video?.width ?? 0,
    height: video?.height ?? 0,
    threads: video?.threads || DEFAULT_THREADS,
    ...(video?.toSdr === true && { toSdr: true }),
    ...((video?.bitrateBps ?? 0) > 0 && { bitrateBps: video?.bitrateBps }),
    ...((video?.targetSsim ?? 0) > 0 && { targetSsim: video?.targetSsim }),
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
  const rule = encoderRule(video.encoder);
  if (rule === undefined) {
    return `video encoder ${quote(video.encoder)} is not known: use ${[...ENCODERS.keys()].join(', ')}, or one of hardware such as hevc_nvenc or h264_vaapi`;
  }
  if (!rule.containers.includes(container)) {
    return `.${container} does not take ${video.encoder}: use ${rule.containers.join(', ')}`;
  }
  if (!isWhole(video.crf, 1, rule.maxCrf)) {
    return `crf ${video.crf} is out of range for ${video.encoder}: use 1 to ${rule.maxCrf}`;
  }
  if (!rule.presets.includes(video.preset)) {
    const known = rule.presets.join(', ');
    return known === ''
      ? `${video.encoder} has no presets: leave it out`
      : `preset ${quote(video.preset)} is not one of ${video.encoder}: use ${known}`;
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
  if (encoder === 'libsvtav1' || encoderRule(encoder)?.isHardware === true)
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

function ramFor(video: VideoEncoding): number {
  const base = encoderRule(video.encoder)?.ramBytes ?? 1024 * MIB;
  // More threads hold more pictures at once.
  return base + (video.threads - 1) * 64 * MIB;
}
