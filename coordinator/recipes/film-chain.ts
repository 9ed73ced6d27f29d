/**
 * The steps that every film made of a film goes through: split → make each chunk → join with the audio →
 * prove. Recipes differ in what makes a chunk of a piece.
 */
import type {
  AudioEncoding,
  Demand,
  File,
  FilmBranch,
  Input,
  Limits,
  OutputPattern,
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

/** What a film cannot be called: others of the units that make and prove it are, and the folder's job gathers `fault-*`. */
export const TAKEN =
  /^(model\.onnx|(plan|proof|rates|quality|moves|clips|pictures)\.json|results\.(csv|json)|chunks\.ffconcat|(audio|sound)\.[^.]*|(piece|chunk|seal|sound)-\d+\..*|fault-.*)$/i;

/** What any unit may use beside a source, which is called otherwise there if need be. */
const BESIDE_SOURCES =
  /^(model\.onnx|(plan|proof|rates|quality)\.json|results\.(csv|json)|chunks\.ffconcat|(piece|chunk|seal|audio|thumbs|packets|motion|edge|moves|sound|clips|pictures|measure|sample|passlog|trial|fault)[-.].*)$/;

type SplitTask = Extract<TaskKind, { readonly $case: 'split' }>['value'];

const FFMPEG = ['tool:ffmpeg'];

export interface FilmChain {
  readonly source: File;
  /** Name of the film; its extension chooses the container. */
  readonly film: string;
  readonly audio: AudioEncoding;
  /** Wanted length of a piece. */
  readonly pieceMs: number;
  /** What else the cutting is told: other frames than the source's, pieces that overlap, for whom. */
  readonly cut?:
    | Pick<
        SplitTask,
        'retime' | 'deinterlace' | 'leadFrames' | 'tailFrames' | 'unitsAtOnce' | 'pieceBy'
      >
    | undefined;
  readonly chunks: ChunkStep;
  /** Makes all chunks if one of those cannot be made; absent where the job fails then. */
  readonly standIn?: ChunkStep | undefined;
  /** The film has a timecode even where the source has none. */
  readonly timecode?: boolean | undefined;
  /** What is found out before chunks are made, and what the proof shows of it. */
  readonly aim?: FilmAim | undefined;
  /** Behind the names of its steps, where a job makes several films: `-720p`. */
  readonly suffix?: string;
  /** Of the steps that several films share: their split and their audio. Default as the others'. */
  readonly sharedSuffix?: string;
  readonly branch?: FilmBranch;
}

/** Steps between the cutting and the chunks, and the file by which chunks are made. */
export interface FilmAim {
  readonly steps: readonly StepSpec[];
  readonly result: { readonly step: string; readonly file: string };
}

/** What of a chain the cutting is about. */
type CutFilm = Pick<FilmChain, 'source' | 'pieceMs' | 'cut' | 'branch' | 'suffix' | 'sharedSuffix'>;

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
  const [chunks, ...joins] = branchSteps(chain);
  return [splitStep(chain), ...(chain.aim?.steps ?? []), chunks, audioStep(chain), ...joins];
}

/** Only what belongs to one film of several that share split and audio. */
export function branchSteps(chain: FilmChain): readonly [StepSpec, ...StepSpec[]] {
  return [chunkStep(chain), ...standInSteps(chain), ...joinSteps(chain)];
}

/** Only what several films share. */
export function sharedSteps(chain: FilmChain): readonly StepSpec[] {
  return [splitStep(chain), audioStep(chain)];
}

interface StepNames {
  readonly split: string;
  readonly audio: string;
  readonly chunks: string;
  readonly concat: string;
  readonly proof: string;
}

const splitName = ({ suffix = '', sharedSuffix = suffix }: CutFilm): string =>
  `split${sharedSuffix}`;

function namesOf(chain: FilmChain): StepNames {
  const { chunks, suffix = '', sharedSuffix = suffix } = chain;
  return {
    split: splitName(chain),
    audio: `audio${sharedSuffix}`,
    chunks: `${chunks.name}${suffix}`,
    concat: `concat${suffix}`,
    proof: `proof${suffix}`,
  };
}

const proofName = ({ branch }: FilmChain): string => branch?.proof || 'proof.json';

/** What a film of several may be left out of, or given up for, leaves no such output. */
function usual(pattern: OutputPattern, { branch }: FilmChain): OutputPattern {
  const mayLack = branch !== undefined && (branch.noteFaults || !branch.always);
  return mayLack ? { ...pattern, optional: true } : pattern;
}

/** Faults of the source, where a film notes them. */
const noted = ({ branch }: Pick<FilmChain, 'branch'>): readonly OutputPattern[] =>
  branch?.noteFaults === true ? [{ ...output('fault-*'), optional: true }] : [];

const notedBy = ({ branch }: FilmChain, ...steps: readonly string[]): readonly Input[] =>
  branch?.noteFaults === true ? steps.map((step) => outputsOf(step, 'fault-*')) : [];

/** Bytes that a piece and what is made of it may take; for a chunk step's demand. */
export function pieceScratchBytes(source: File): number {
  // A piece is a fraction of the source, except where the film cannot be cut at all.
  return Math.min(source.sizeBytes, 1024 * MIB) * 2;
}

const oneUnit = { parameters: undefined, limits: stallsAfter(600_000) };

export function splitStep(chain: CutFilm): StepSpec {
  const { source, pieceMs, branch, cut } = chain;
  const beside = sourceBeside(source);
  const shared = sharedBranch(branch);
  return {
    ...oneUnit,
    name: splitName(chain),
    dependsOn: [],
    task: { kind: { $case: 'split', value: { source: beside.name, pieceMs, ...cut, ...shared } } },
    inputs: [fileInput(beside)],
    outputs:
      noted(chain).length === 0 ? SPLIT_OUTPUTS : [...SPLIT_OUTPUTS.map(optional), ...noted(chain)],
    demand: demand(1000, 256 * MIB, source.sizeBytes * 2, FFMPEG),
  };
}

const SPLIT_OUTPUTS = [output('plan.json'), output('piece-*')];

const optional = (pattern: OutputPattern): OutputPattern => ({ ...pattern, optional: true });

/** Split and audio are the same for films of all sizes. */
function sharedBranch(branch: FilmBranch | undefined): { readonly branch?: FilmBranch } {
  return branch?.noteFaults === true ? { branch: { ...branch, lines: 0, proof: '' } } : {};
}

function chunkStep(chain: FilmChain): StepSpec {
  const { aim } = chain;
  const { task, inputs, uniform, ...rest } = chain.chunks;
  const found = aim === undefined ? [] : [outputsOf(aim.result.step, aim.result.file)];
  const { split, chunks } = namesOf(chain);
  return {
    ...rest,
    ...(uniform !== undefined && { uniform }),
    name: chunks,
    dependsOn: [split, ...(aim === undefined ? [] : [aim.result.step])],
    parameters: eachPieceOf(split),
    task: { kind: task },
    inputs: [
      { kind: { $case: 'item', value: true } },
      outputsOf(split, 'plan.json'),
      ...found,
      ...inputs,
    ],
    outputs: [
      ...[output('chunk-*'), output('seal-*')].map((each) => usual(each, chain)),
      ...noted(chain),
    ],
  };
}

function standInSteps({ standIn, ...chain }: FilmChain): readonly StepSpec[] {
  if (standIn === undefined) return [];
  return [{ ...chunkStep({ ...chain, chunks: standIn }), insteadOf: namesOf(chain).chunks }];
}

function audioStep(chain: FilmChain): StepSpec {
  const { source, audio, branch } = chain;
  const beside = sourceBeside(source);
  const value = { source: beside.name, audio, ...sharedBranch(branch) };
  return {
    ...oneUnit,
    name: namesOf(chain).audio,
    dependsOn: [],
    task: { kind: { $case: 'audio', value } },
    inputs: [fileInput(beside)],
    outputs: [{ ...output('audio.*'), optional: true }, ...noted(chain)],
    demand: demand(1000, 256 * MIB, source.sizeBytes * 2, FFMPEG),
  };
}

/** The name of its report is for the proof alone: a job of many films repeats nothing that it need not. */
function withBranch({ branch }: FilmChain, proof: string): { readonly branch?: FilmBranch } {
  return branch === undefined ? {} : { branch: { ...branch, proof } };
}

function joinSteps(chain: FilmChain): readonly StepSpec[] {
  const { source, film, branch, aim, timecode } = chain;
  const aims = aim === undefined ? [] : [aim.result.step];
  // Failures name it: only where the film lies beside it must it give way.
  const beside = sourceBeside(source, film);
  const size = source.sizeBytes;
  const { split, audio, chunks, concat, proof } = namesOf(chain);
  const value = { source: beside.name, film, timecode, ...withBranch(chain, '') };
  const proven = { source: beside.name, film, timecode, ...withBranch(chain, branch?.proof ?? '') };
  return [
    {
      ...oneUnit,
      name: concat,
      dependsOn: [split, chunks, audio],
      task: { kind: { $case: 'concat', value } },
      inputs: [
        fileInput(beside),
        outputsOf(split, 'plan.json'),
        outputsOf(chunks, 'chunk-*'),
        outputsOf(chunks, 'seal-*'),
        outputsOf(audio, 'audio.*'),
        ...notedBy(chain, split, chunks, audio),
      ],
      outputs: [usual(keptOutput(film), chain), ...noted(chain)],
      // Source, chunks and film; moving the index to the front rewrites the film in place.
      demand: demand(1000, 512 * MIB, size * 3, FFMPEG),
    },
    {
      ...oneUnit,
      name: proof,
      dependsOn: [split, ...aims, chunks, audio, concat],
      task: { kind: { $case: 'proveFilm', value: proven } },
      inputs: [
        fileInput(beside),
        outputsOf(split, 'plan.json'),
        outputsOf(chunks, 'seal-*'),
        outputsOf(audio, 'audio.json'),
        ...(aim === undefined ? [] : [outputsOf(aim.result.step, aim.result.file)]),
        outputsOf(concat, film),
        ...notedBy(chain, concat),
      ],
      outputs: [usual(keptOutput(proofName(chain)), chain), ...noted(chain)],
      demand: demand(1000, 512 * MIB, size * 2, FFMPEG),
    },
  ];
}

/** A unit for each piece. */
function eachPieceOf(split: string): ParameterSpace {
  return { kind: { $case: 'forEach', value: { step: split, pattern: 'piece-*' } } };
}

export const EACH_PIECE: ParameterSpace = eachPieceOf('split');

/** The source in the directory of a unit: it shares no name with what else is there. */
export function sourceBeside(source: File, film?: string): File {
  const name = baseName(source.name);
  const taken = name === film || BESIDE_SOURCES.test(name) || film?.startsWith(`${name}/`) === true;
  return { ...source, name: taken ? `source-${name}` : name };
}
