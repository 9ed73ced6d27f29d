/**
 * The recipe `montage`: a film cut from clips on a piece of music. What a request may ask for, and what it gets
 * where it does not; the steps are in `montage-steps.ts`. Pure, as every recipe.
 */
import type { FrameRate, MontageFilm, MontageStyle } from '../domain/montage-tasks.ts';
import { faultOfName, nameKey } from '../domain/names.ts';
import type { File } from '../domain/task.ts';
import { containerOf, ENCODERS } from './codings.ts';
import { faultOfWishes } from './model-demand.ts';
import { chooseModel, type KnownModels } from './models.ts';
import { type Enlarging, type Montage, stepsOfMontage } from './montage-steps.ts';
import { MONTAGE_STYLES } from './montage-styles.ts';
import { baseName, invalid, isWhole, quote, type RecipePlan } from './recipe.ts';
import { usualCpus } from './usual-cpus.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface MontageRequest {
  readonly clips: readonly File[];
  readonly music?: File | undefined;
  readonly style: string;
  readonly lengthMs: number;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly rate?: FrameRate | undefined;
  readonly enhance: boolean;
  readonly stabilize: boolean;
  readonly proxies: boolean;
  readonly clipSound: number;
  readonly musicFromMs: number;
  readonly fit: string;
  readonly cuts?: File | undefined;
  readonly film: string;
  readonly encoder: string;
  readonly crf: number;
  readonly preset: string;
  /** The farm's name of a model; empty for none. What follows is for units that use it. */
  readonly upscale: string;
  readonly provider: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly vramBytes: number;
}

const MAX_CLIPS = 300;
const MIN_LENGTH_MS = 1000;
const MAX_LENGTH_MS = 3_600_000;
const MAX_SIDE = 8192;
const MAX_PIXELS = 36_000_000;

/** What CMX3600 and players can count, two digits of frames. */
const RATES: ReadonlySet<string> = new Set([
  ...[24, 25, 30, 48, 50, 60].map((rate) => `${rate}/1`),
  ...[24, 30, 48, 60].map((rate) => `${rate * 1000}/1001`),
]);

const FITS: ReadonlySet<string> = new Set(['', 'crop', 'pad']);
const LISTS = /.\.(otio|edl|csv)$/i;

/** Names that the runners use in a unit's directory; clips and music lie in folders of their own. */
const RESERVED =
  /^(cuts\.(json|otio|edl|csv)|proof\.json|music\.json|proxies|clips|music|list|model\.onnx|(clip|shot|small|large|piece|sound|chunk|seal)[-.].*)$/i;

/** `mostCpus`: see `usualCpus`. */
export function montageSteps(
  request: MontageRequest,
  models: KnownModels,
  mostCpus = 0,
): RecipePlan {
  const style = MONTAGE_STYLES.get(request.style);
  const { music } = request;
  const fault =
    faultOfClips(request.clips) ??
    faultOfFile('the music', music) ??
    faultOfStyle(request) ??
    faultOfList(request.cuts) ??
    faultOfTimes(request);
  if (fault !== undefined || music === undefined) return invalid(fault ?? '');
  const film = filmOf(request, style);
  const filmFault = faultOfFilm(film) ?? faultOfCoding(film);
  if (filmFault !== undefined) return invalid(filmFault);
  const enlarging = enlargingOf(request, models, mostCpus);
  if (enlarging?.state === 'invalid') return enlarging;
  const inFolder = (folder: string, file: File): File => ({
    ...file,
    name: `${folder}/${baseName(file.name)}`,
  });
  const montage: Montage = {
    clips: request.clips.map((clip) => inFolder('clips', clip)),
    music: inFolder('music', music),
    list: request.cuts === undefined ? undefined : inFolder('list', request.cuts),
    film,
    style: request.cuts === undefined ? style : undefined,
    seed: request.seed,
    lengthMs: request.lengthMs,
    musicFromMs: request.musicFromMs,
    proxies: request.proxies,
    enlarging,
  };
  return { state: 'ok', steps: stepsOfMontage(montage) };
}

function filmOf(request: MontageRequest, style: MontageStyle | undefined): MontageFilm {
  const encoder = request.encoder || 'libx264';
  const rule = ENCODERS.get(encoder);
  return {
    name: request.film || 'montage.mp4',
    width: request.width || 1920,
    height: request.height || 1080,
    rate: request.rate ?? { num: 30, den: 1 },
    encoder,
    crf: request.crf || (rule?.defaultCrf ?? 0),
    preset: request.preset || (rule?.defaultPreset ?? ''),
    threads: 1,
    fit: request.fit,
    stabilize: request.stabilize,
    enhance: request.enhance,
    grade: style?.grade,
    fadeOutSeconds: style?.fadeOutSeconds ?? 0,
    clipSound: request.clipSound,
    upscale: request.upscale !== '',
  };
}

/** Undefined where no model is asked for. */
function enlargingOf(
  request: MontageRequest,
  models: KnownModels,
  mostCpus: number,
): Enlarging | (RecipePlan & { readonly state: 'invalid' }) | undefined {
  if (request.upscale === '') return faultOfNoModel(request);
  const model = chooseModel(models, request.upscale, 'upscale');
  if (model.state === 'invalid') return model;
  const fault = faultOfWishes(request);
  if (fault !== undefined) return invalid(fault);
  const { provider, ramBytes, vramBytes } = request;
  const cpus = request.cpus || usualCpus(mostCpus);
  return { state: 'ok', model, wishes: { provider, cpus, ramBytes, vramBytes } };
}

/** What is said of units that there are not would be lost without a word. */
function faultOfNoModel({ provider, cpus, ramBytes, vramBytes }: MontageRequest) {
  const isSaid = provider !== '' || cpus !== 0 || ramBytes !== 0 || vramBytes !== 0;
  return isSaid
    ? invalid('provider, cpus and memory are for units that use a model: name one to upscale with')
    : undefined;
}

function faultOfClips(clips: readonly File[]): string | undefined {
  if (clips.length === 0) return 'clips are missing: name at least one uploaded film';
  if (clips.length > MAX_CLIPS) {
    return `${clips.length} clips are more than the ${MAX_CLIPS} that are taken: leave some out`;
  }
  const seen = new Map<string, string>();
  for (const clip of clips) {
    const fault = faultOfFile('a clip', clip);
    if (fault !== undefined) return fault;
    const key = nameKey(baseName(clip.name));
    const other = seen.get(key);
    if (other !== undefined) {
      return `two clips are named ${quote(baseName(clip.name))}: lists tell clips by their names, so rename one`;
    }
    seen.set(key, clip.name);
  }
  return undefined;
}

function faultOfFile(what: string, file: File | undefined): string | undefined {
  if (file === undefined) return `${what} is missing: name an uploaded file`;
  const fault = faultOfName(file.name);
  if (fault !== undefined) return `the name of ${what}, ${quote(file.name)}, ${fault}`;
  return file.sizeBytes === 0 ? `${file.name} is empty` : undefined;
}

function faultOfStyle({ style, cuts }: MontageRequest): string | undefined {
  if (MONTAGE_STYLES.has(style) || (style === '' && cuts !== undefined)) return undefined;
  const known = [...MONTAGE_STYLES.keys()].join(', ');
  return style === ''
    ? `a style is missing: use ${known}`
    : `there is no style ${quote(style)}: use ${known}`;
}

function faultOfList(cuts: File | undefined): string | undefined {
  if (cuts === undefined) return undefined;
  const fault = faultOfFile('the list', cuts);
  if (fault !== undefined) return fault;
  return LISTS.test(cuts.name)
    ? undefined
    : `the list ${quote(cuts.name)} must end in .otio, .edl or .csv`;
}

function faultOfTimes(request: MontageRequest): string | undefined {
  const { lengthMs, seed, musicFromMs, clipSound, cuts, fit } = request;
  if (lengthMs !== 0 && cuts !== undefined) {
    return 'a list says how long the film is: leave the length out';
  }
  if (lengthMs !== 0 && !isWhole(lengthMs, MIN_LENGTH_MS, MAX_LENGTH_MS)) {
    return `a length of ${lengthMs} ms is out of range: use ${MIN_LENGTH_MS} to ${MAX_LENGTH_MS}`;
  }
  if (!isWhole(seed, 0, 2 ** 32 - 1))
    return `the seed ${seed} must be whole, from 0 to ${2 ** 32 - 1}`;
  if (!isWhole(musicFromMs, 0, MAX_LENGTH_MS)) {
    return `${musicFromMs} ms into the music is out of range: use 0 to ${MAX_LENGTH_MS}`;
  }
  if (!(clipSound >= 0 && clipSound <= 1)) {
    return `a clip sound of ${clipSound} is out of range: use 0 to 1`;
  }
  return FITS.has(fit) ? undefined : `fit ${quote(fit)} is not known: use crop or pad`;
}

function faultOfFilm({ name, width, height, rate }: MontageFilm): string | undefined {
  const fault = faultOfName(name);
  if (fault !== undefined) return `the film's name ${quote(name)} ${fault}`;
  if (/[/*]/.test(name))
    return `the film's name ${quote(name)} has a slash or a *: give a plain name`;
  if (RESERVED.test(name)) return `the film's name ${quote(name)} is one that the farm itself uses`;
  for (const [side, pixels] of Object.entries({ width, height })) {
    if (!isWhole(pixels, 16, MAX_SIDE) || pixels % 2 !== 0) {
      return `${side} ${pixels} must be even, from 16 to ${MAX_SIDE}`;
    }
  }
  if (width * height > MAX_PIXELS) return `${width}x${height} is beyond 8K`;
  const { num = 0, den = 0 } = rate ?? {};
  return RATES.has(`${num}/${den}`)
    ? undefined
    : `a rate of ${num}/${den} is not one that timecode counts: use ${[...RATES].join(', ')}`;
}

function faultOfCoding({ name, encoder, crf, preset }: MontageFilm): string | undefined {
  const container = containerOf(name);
  const rule = ENCODERS.get(encoder);
  // The sound is AAC, and chunks are joined as MP4.
  if (container === undefined || container === 'webm') {
    return `the film's name ${quote(name)} must end in .mp4, .mov or .mkv`;
  }
  if (rule === undefined || (encoder !== 'libx264' && encoder !== 'libx265')) {
    return `video encoder ${quote(encoder)} is not taken here: use libx264 or libx265`;
  }
  if (!isWhole(crf, 1, rule.maxCrf)) {
    return `crf ${crf} is out of range for ${encoder}: use 1 to ${rule.maxCrf}`;
  }
  return rule.presets.includes(preset)
    ? undefined
    : `preset ${quote(preset)} is not one of ${encoder}: use ${rule.presets.join(', ')}`;
}
