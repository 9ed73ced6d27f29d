/**
 * The steps of a montage: look at every clip and listen to the music → choose the shots → take what they need
 * out of the clips → render each shot → join them on the music → prove. No unit but those of one clip has that
 * clip.
 */
import type { MontageFilm, MontageStyle } from '../domain/montage-tasks.ts';
import type { File, Input, StepSpec, TaskKind } from '../domain/task.ts';
import { ENCODERS } from './codings.ts';
import { type ModelWishes, wishedProvider, withWishes } from './model-demand.ts';
import type { ChosenModel } from './models.ts';
import { demand, fileInput, keptOutput, MIB, output, outputsOf, stallsAfter } from './recipe.ts';

const FFMPEG = ['tool:ffmpeg'];
/** Frames of ten seconds, at a byte for each pixel or less. */
const LARGE_FRAMES = 300;

/** A model that makes pictures larger, and how. */
export interface Enlarging {
  readonly state: 'ok';
  readonly model: ChosenModel;
  readonly wishes: ModelWishes;
}

export interface Montage {
  /** As they lie beside a unit, as do music and list. */
  readonly clips: readonly File[];
  readonly music: File;
  /** Edited by somebody, instead of a style. */
  readonly list: File | undefined;
  readonly film: MontageFilm;
  readonly style: MontageStyle | undefined;
  readonly seed: number;
  /** 0 for what the music has. */
  readonly lengthMs: number;
  readonly musicFromMs: number;
  readonly proxies: boolean;
  readonly enlarging: Enlarging | undefined;
}

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

export function stepsOfMontage(montage: Montage): readonly StepSpec[] {
  return [
    ...montage.clips.map((clip, index) => lookStep(montage, clip, index)),
    listenStep(montage),
    planStep(montage),
    ...montage.clips.map((clip, index) => takeStepOf(montage, clip, index)),
    shotsStep(montage),
    ...(montage.enlarging === undefined ? [] : [enlargedStep(montage, montage.enlarging)]),
    ...(montage.proxies
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
    demand: demand(1000, 512 * MIB, clip.sizeBytes + 1024 * MIB, FFMPEG),
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

function planStep(montage: Montage): StepSpec {
  const { clips, film, style, list, seed, lengthMs, musicFromMs } = montage;
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
        seed,
        lengthMs,
        musicFromMs,
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
      // All of them may need a model, or none.
      { ...output('shot-*'), optional: film.upscale },
      ...(film.upscale ? [{ ...output('small-*'), optional: true }] : []),
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

/** One large frame may take minutes, and is told of tile by tile; loading is not. */
const MODEL_STALL_MS = 900_000;

/**
 * Shots that need the model, and only those: units that book a model's memory are fewer than shots. Each makes its
 * own frames larger, and those that the shot before lends it; nothing large goes from unit to unit.
 */
function enlargedStep(montage: Montage, { model, wishes }: Enlarging): StepSpec {
  const { film } = montage;
  const shots = shotsStep(montage);
  const use = { model: model.unit, provider: wishedProvider(wishes) };
  const own = {
    ...shots.demand!,
    cpuMillis: wishes.cpus * 1000,
    // Frames of the film's size, without loss, lie beside the unit.
    scratchBytes: shots.demand!.scratchBytes + film.width * film.height * LARGE_FRAMES,
  };
  return {
    ...shots,
    name: 'enlarged',
    parameters: { kind: { $case: 'forEach', value: { step: 'cutlist', pattern: 'small-*' } } },
    task: { kind: { $case: 'enlargeShot', value: { film, use } } },
    inputs: [...shots.inputs, model.input],
    demand: withWishes(own, model, wishes),
    limits: stallsAfter(MODEL_STALL_MS),
  };
}

/** Steps that leave chunks. */
function shotSteps({ enlarging }: Montage): readonly string[] {
  return ['shots', ...(enlarging === undefined ? [] : ['enlarged'])];
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

function joinStep(montage: Montage): StepSpec {
  const { clips, film, music } = montage;
  const takes = film.clipSound > 0 ? clips.map((_, index) => takeStep(index)) : [];
  return oneUnit({
    name: 'join',
    dependsOn: ['cutlist', ...takes, ...shotSteps(montage)],
    task: { $case: 'joinMontage', value: { film, music: music.name } },
    inputs: [
      fileInput(music),
      outputsOf('cutlist', 'cuts.json'),
      ...shotSteps(montage).flatMap((step) => [
        outputsOf(step, 'chunk-*'),
        outputsOf(step, 'seal-*'),
      ]),
      ...takes.map((step) => outputsOf(step, 'sound-*')),
    ],
    outputs: [keptOutput(film.name)],
    demand: demand(1000, 512 * MIB, music.sizeBytes + 2048 * MIB, FFMPEG),
  });
}

function proofStep(montage: Montage): StepSpec {
  const { clips, film, proxies: isProxied } = montage;
  const takes = clips.map((_, index) => takeStep(index));
  const proxies = isProxied ? clips.map((_, index) => proxyStep(index)) : [];
  const inputs: readonly Input[] = [
    outputsOf('cutlist', 'cuts.*'),
    outputsOf('join', film.name),
    ...shotSteps(montage).map((step) => outputsOf(step, 'seal-*')),
    ...takes.map((step) => outputsOf(step, 'piece-*.gray')),
    ...takes.map((step) => outputsOf(step, 'piece-*.json')),
  ];
  return oneUnit({
    name: 'proof',
    // The last to end: whatever the job keeps is there then.
    dependsOn: ['cutlist', ...takes, ...shotSteps(montage), ...proxies, 'join'],
    task: { $case: 'proveMontage', value: { film } },
    inputs,
    outputs: [keptOutput('proof.json')],
    demand: demand(1000, 512 * MIB, 2048 * MIB, FFMPEG),
  });
}
