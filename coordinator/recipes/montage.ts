/**
 * The recipe `montage`: look at every clip and listen to the music → choose the shots → take what they need
 * out of the clips → render each shot → join them on the music → prove. Pure, as every recipe.
 */
import type { FrameRate, MontageFilm, MontageStyle } from '../domain/montage-tasks.ts';
import { faultOfName, nameKey } from '../domain/names.ts';
import type { File, Input, StepSpec, TaskKind } from '../domain/task.ts';
import { containerOf, ENCODERS } from './codings.ts';
import { MONTAGE_STYLES } from './montage-styles.ts';
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
}

const MAX_CLIPS = 300;
const MIN_LENGTH_MS = 1000;
const MAX_LENGTH_MS = 3_600_000;
const MAX_SIDE = 8192;
const MAX_PIXELS = 36_000_000;
const FFMPEG = ['tool:ffmpeg'];

/** What CMX3600 and players can count, two digits of frames. */
const RATES: ReadonlySet<string> = new Set([
  ...[24, 25, 30, 48, 50, 60].map((rate) => `${rate}/1`),
  ...[24, 30, 48, 60].map((rate) => `${rate * 1000}/1001`),
]);

const FITS: ReadonlySet<string> = new Set(['', 'crop', 'pad']);
const LISTS = /.\.(otio|edl|csv)$/i;

/** Names that the runners use in a unit's directory; clips and music lie in folders of their own. */
const RESERVED =
  /^(cuts\.(json|otio|edl|csv)|proof\.json|music\.json|proxies|clips|music|list|(clip|shot|piece|sound|chunk|seal)[-.].*)$/i;

interface Montage {
  readonly request: MontageRequest;
  /** As they lie beside a unit. */
  readonly clips: readonly File[];
  readonly music: File;
  readonly list: File | undefined;
  readonly film: MontageFilm;
  readonly style: MontageStyle | undefined;
}

export function montageSteps(request: MontageRequest): RecipePlan {
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
  const inFolder = (folder: string, file: File): File => ({
    ...file,
    name: `${folder}/${baseName(file.name)}`,
  });
  const montage: Montage = {
    request,
    clips: request.clips.map((clip) => inFolder('clips', clip)),
    music: inFolder('music', music),
    list: request.cuts === undefined ? undefined : inFolder('list', request.cuts),
    film,
    style: request.cuts === undefined ? style : undefined,
  };
  return { state: 'ok', steps: stepsOf(montage) };
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
  };
}

// --- The steps -------------------------------------------------------------------------------------

const number = (index: number): string => String(index).padStart(5, '0');
const analysisStep = (index: number): string => `look-${number(index)}`;
const takeStep = (index: number): string => `take-${number(index)}`;
const proxyStep = (index: number): string => `proxy-${number(index)}`;

type Work = Pick<StepSpec, 'name' | 'dependsOn' | 'inputs' | 'outputs' | 'demand'> & {
  readonly task: TaskKind;
};

function oneUnit({ task, ...step }: Work): StepSpec {
  return { ...step, task: { kind: task }, parameters: undefined, limits: stallsAfter(600_000) };
}

function stepsOf(montage: Montage): readonly StepSpec[] {
  return [
    ...montage.clips.map((clip, index) => lookStep(montage, clip, index)),
    listenStep(montage),
    planStep(montage),
    ...montage.clips.map((clip, index) => takeStepOf(montage, clip, index)),
    shotsStep(montage),
    ...(montage.request.proxies
      ? montage.clips.map((clip, index) => proxyStepOf(montage, clip, index))
      : []),
    joinStep(montage),
    proofStep(montage),
  ];
}

function lookStep({ film }: Montage, clip: File, index: number): StepSpec {
  const task = { clip: clip.name, index, rate: film.rate };
  return oneUnit({
    name: analysisStep(index),
    dependsOn: [],
    task: { $case: 'analyzeClip', value: task },
    inputs: [fileInput(clip)],
    outputs: [output('clip-*.json'), output('clip-*.gray')],
    demand: demand(1000, 512 * MIB, clip.sizeBytes + 512 * MIB, FFMPEG),
  });
}

function listenStep({ music }: Montage): StepSpec {
  return oneUnit({
    name: 'listen',
    dependsOn: [],
    task: { $case: 'analyzeMusic', value: { music: music.name } },
    inputs: [fileInput(music)],
    outputs: [output('music.json')],
    demand: demand(1000, 512 * MIB, music.sizeBytes + 512 * MIB, FFMPEG),
  });
}

function planStep({ request, clips, film, style, list }: Montage): StepSpec {
  const looks = clips.map((_, index) => analysisStep(index));
  return oneUnit({
    name: 'cutlist',
    dependsOn: [...looks, 'listen'],
    task: {
      $case: 'planCuts',
      value: {
        film,
        clips: clips.map(({ name }) => name),
        style,
        seed: request.seed,
        lengthMs: request.lengthMs,
        musicFromMs: request.musicFromMs,
        list: list?.name ?? '',
      },
    },
    inputs: [
      ...looks.map((step) => outputsOf(step, 'clip-*.json')),
      outputsOf('listen', 'music.json'),
      ...(list === undefined ? [] : [fileInput(list)]),
    ],
    outputs: [
      output('cuts.json'),
      output('shot-*'),
      keptOutput('cuts.otio'),
      keptOutput('cuts.edl'),
      keptOutput('cuts.csv'),
    ],
    demand: demand(1000, 256 * MIB, 64 * MIB, []),
  });
}

function takeStepOf({ film }: Montage, clip: File, index: number): StepSpec {
  const pieces = ['piece-*', ...(film.clipSound > 0 ? ['sound-*'] : [])];
  return oneUnit({
    name: takeStep(index),
    dependsOn: [analysisStep(index), 'cutlist'],
    task: {
      $case: 'takePieces',
      value: { clip: clip.name, index, sound: film.clipSound > 0 },
    },
    inputs: [
      fileInput(clip),
      outputsOf(analysisStep(index), 'clip-*'),
      outputsOf('cutlist', 'cuts.json'),
    ],
    // A clip of which no shot was chosen gives none.
    outputs: pieces.map((pattern) => ({ ...output(pattern), optional: true })),
    demand: demand(1000, 512 * MIB, clip.sizeBytes * 2 + 256 * MIB, FFMPEG),
  });
}

function shotsStep({ clips, film }: Montage): StepSpec {
  const takes = clips.map((_, index) => takeStep(index));
  const attributes = [...FFMPEG, `encoder:${film.encoder}`];
  const ramBytes = (ENCODERS.get(film.encoder)?.ramBytes ?? 1024 * MIB) + 256 * MIB;
  return {
    name: 'shots',
    dependsOn: ['cutlist', ...takes],
    parameters: { kind: { $case: 'forEach', value: { step: 'cutlist', pattern: 'shot-*' } } },
    task: { kind: { $case: 'renderShot', value: { film } } },
    inputs: [
      { kind: { $case: 'item', value: true } },
      outputsOf('cutlist', 'cuts.json'),
      ...takes.map((step) => outputsOf(step, 'piece-*')),
    ],
    outputs: [output('chunk-*'), output('seal-*')],
    demand: demand(1000, ramBytes, 1024 * MIB, attributes),
    limits: stallsAfter(300_000),
    // What two versions made can seldom be joined.
    uniform: 'ffmpeg',
  };
}

function proxyStepOf({ film }: Montage, clip: File, index: number): StepSpec {
  return oneUnit({
    name: proxyStep(index),
    dependsOn: [analysisStep(index), 'cutlist'],
    task: { $case: 'makeProxy', value: { clip: clip.name, index, rate: film.rate } },
    inputs: [
      fileInput(clip),
      outputsOf(analysisStep(index), 'clip-*.json'),
      outputsOf('cutlist', 'cuts.json'),
    ],
    outputs: [{ ...keptOutput('proxies/*'), optional: true }],
    demand: demand(1000, 768 * MIB, clip.sizeBytes * 2, [...FFMPEG, 'encoder:libx264']),
  });
}

function joinStep({ clips, film, music }: Montage): StepSpec {
  const takes = film.clipSound > 0 ? clips.map((_, index) => takeStep(index)) : [];
  return oneUnit({
    name: 'join',
    dependsOn: ['cutlist', ...takes, 'shots'],
    task: { $case: 'joinMontage', value: { film, music: music.name } },
    inputs: [
      fileInput(music),
      outputsOf('cutlist', 'cuts.json'),
      outputsOf('shots', 'chunk-*'),
      outputsOf('shots', 'seal-*'),
      ...takes.map((step) => outputsOf(step, 'sound-*')),
    ],
    outputs: [keptOutput(film.name)],
    demand: demand(1000, 512 * MIB, music.sizeBytes + 2048 * MIB, FFMPEG),
  });
}

function proofStep({ clips, film, request }: Montage): StepSpec {
  const takes = clips.map((_, index) => takeStep(index));
  const proxies = request.proxies ? clips.map((_, index) => proxyStep(index)) : [];
  const inputs: readonly Input[] = [
    outputsOf('cutlist', 'cuts.*'),
    outputsOf('join', film.name),
    outputsOf('shots', 'seal-*'),
    ...takes.map((step) => outputsOf(step, 'piece-*.gray')),
    ...takes.map((step) => outputsOf(step, 'piece-*.json')),
  ];
  return oneUnit({
    name: 'proof',
    // The last to end: whatever the job keeps is there then.
    dependsOn: ['cutlist', ...takes, 'shots', ...proxies, 'join'],
    task: { $case: 'proveMontage', value: { film } },
    inputs,
    outputs: [keptOutput('proof.json')],
    demand: demand(1000, 512 * MIB, 2048 * MIB, FFMPEG),
  });
}

// --- What may be wrong with a request --------------------------------------------------------------

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
