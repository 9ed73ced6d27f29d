/**
 * The steps that every film made of a film goes through: split → make each chunk → join with the audio →
 * prove. Recipes differ in what makes a chunk of a piece.
 */
import type {
  AudioEncoding,
  Demand,
  File,
  Input,
  Limits,
  ParameterSpace,
  StepSpec,
  TaskKind,
} from '../domain/task.ts';
import {
  baseName,
  demand,
  fileInput,
  keptOutput,
  MIB,
  output,
  outputsOf,
  stallsAfter,
} from './recipe.ts';

/** Names that the runners use in a unit's directory. */
export const RESERVED =
  /^(model\.onnx|(plan|proof|rates|quality)\.json|chunks\.ffconcat|(piece|chunk|seal|audio|thumbs|packets|motion|edge|moves|sound|clips|pictures|measure|sample|passlog|trial)[-.].*)$/;

type SplitTask = Extract<TaskKind, { readonly $case: 'split' }>['value'];

const FFMPEG = ['tool:ffmpeg'];

export interface FilmChain {
  readonly source: File;
  /** Name of the film; its extension chooses the container. */
  readonly film: string;
  readonly audio: AudioEncoding;
  /** Wanted length of a piece. */
  readonly pieceMs: number;
  /** What else the cutting is told: other frames than the source's, pieces that overlap. */
  readonly cut?:
    | Pick<SplitTask, 'retime' | 'deinterlace' | 'leadFrames' | 'tailFrames'>
    | undefined;
  readonly chunks: ChunkStep;
  /** The film has a timecode even where the source has none. */
  readonly timecode?: boolean | undefined;
  /** What is found out before chunks are made, and what the proof shows of it. */
  readonly aim?: FilmAim | undefined;
}

/** Steps between the cutting and the chunks, and the file by which chunks are made. */
export interface FilmAim {
  readonly steps: readonly StepSpec[];
  readonly result: { readonly step: string; readonly file: string };
}

/** What makes `chunk-*` and `seal-*` of the piece that is its item; `plan.json` lies beside it. */
export interface ChunkStep {
  readonly name: string;
  readonly task: TaskKind;
  readonly demand: Demand;
  readonly limits: Limits;
  /** Beyond the piece and the plan. */
  readonly inputs: readonly Input[];
  readonly uniform?: string | undefined;
}

export function filmChain(chain: FilmChain): readonly StepSpec[] {
  const { aim, chunks } = chain;
  const encode = chunkStep(chunks, aim);
  return [splitStep(chain), ...(aim?.steps ?? []), encode, audioStep(chain), ...joinSteps(chain)];
}

/** Bytes that a piece and what is made of it may take; for a chunk step's demand. */
export function pieceScratchBytes(source: File): number {
  // A piece is a fraction of the source, except where the film cannot be cut at all.
  return Math.min(source.sizeBytes, 1024 * MIB) * 2;
}

const oneUnit = { parameters: undefined, limits: stallsAfter(600_000) };

export function splitStep({
  source,
  pieceMs,
  cut,
}: Pick<FilmChain, 'source' | 'pieceMs' | 'cut'>): StepSpec {
  const beside = sourceBeside(source);
  return {
    ...oneUnit,
    name: 'split',
    dependsOn: [],
    task: { kind: { $case: 'split', value: { source: beside.name, pieceMs, ...cut } } },
    inputs: [fileInput(beside)],
    outputs: [output('plan.json'), output('piece-*')],
    demand: demand(1000, 256 * MIB, source.sizeBytes * 2, FFMPEG),
  };
}

function chunkStep({ task, inputs, uniform, ...rest }: ChunkStep, aim?: FilmAim): StepSpec {
  const found = aim === undefined ? [] : [outputsOf(aim.result.step, aim.result.file)];
  return {
    ...rest,
    ...(uniform !== undefined && { uniform }),
    dependsOn: ['split', ...(aim === undefined ? [] : [aim.result.step])],
    parameters: EACH_PIECE,
    task: { kind: task },
    inputs: [
      { kind: { $case: 'item', value: true } },
      outputsOf('split', 'plan.json'),
      ...found,
      ...inputs,
    ],
    outputs: [output('chunk-*'), output('seal-*')],
  };
}

function audioStep({ source, audio }: FilmChain): StepSpec {
  const beside = sourceBeside(source);
  return {
    ...oneUnit,
    name: 'audio',
    dependsOn: [],
    task: { kind: { $case: 'audio', value: { source: beside.name, audio } } },
    inputs: [fileInput(beside)],
    outputs: [{ ...output('audio.*'), optional: true }],
    demand: demand(1000, 256 * MIB, source.sizeBytes * 2, FFMPEG),
  };
}

function joinSteps({ source, film, chunks, aim, timecode }: FilmChain): readonly StepSpec[] {
  // Failures name it: only where the film lies beside it must it give way.
  const beside = sourceBeside(source, film);
  const size = source.sizeBytes;
  const aims = aim === undefined ? [] : [aim.result.step];
  return [
    {
      ...oneUnit,
      name: 'concat',
      dependsOn: ['split', chunks.name, 'audio'],
      task: { kind: { $case: 'concat', value: { source: beside.name, film, timecode } } },
      inputs: [
        fileInput(beside),
        outputsOf('split', 'plan.json'),
        outputsOf(chunks.name, 'chunk-*'),
        outputsOf(chunks.name, 'seal-*'),
        outputsOf('audio', 'audio.*'),
      ],
      outputs: [keptOutput(film)],
      // Source, chunks and film; moving the index to the front rewrites the film in place.
      demand: demand(1000, 512 * MIB, size * 3, FFMPEG),
    },
    {
      ...oneUnit,
      name: 'proof',
      dependsOn: ['split', ...aims, chunks.name, 'audio', 'concat'],
      task: { kind: { $case: 'proveFilm', value: { source: beside.name, film, timecode } } },
      inputs: [
        fileInput(beside),
        outputsOf('split', 'plan.json'),
        outputsOf(chunks.name, 'seal-*'),
        outputsOf('audio', 'audio.json'),
        ...(aim === undefined ? [] : [outputsOf(aim.result.step, aim.result.file)]),
        outputsOf('concat', film),
      ],
      outputs: [keptOutput('proof.json')],
      demand: demand(1000, 512 * MIB, size * 2, FFMPEG),
    },
  ];
}

/** A unit for each piece. */
export const EACH_PIECE: ParameterSpace = {
  kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } },
};

/** The source in the directory of a unit: it shares no name with what else is there. */
export function sourceBeside(source: File, film?: string): File {
  const name = baseName(source.name);
  const taken = name === film || RESERVED.test(name);
  return { ...source, name: taken ? `source-${name}` : name };
}
