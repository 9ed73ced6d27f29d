/**
 * A model looks at many pictures (how many a unit: `pictures-a-unit.ts`), or at a film's frames, a piece a unit; what
 * it finds is joined into one line for each, in order, or a row of a table, and that is proven.
 */
import type { Looking } from '../domain/infer-tasks.ts';
import type { Demand, File, FileListSpace, Input, StepSpec, TaskKind } from '../domain/task.ts';
import { splitStep } from './film-chain.ts';
import { ramOfModel } from './model-demand.ts';
import { chooseModel, type ChosenModel, type KnownModels } from './models.ts';
import { picturesAUnit } from './pictures-a-unit.ts';
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
  type UnitsAtOnce,
} from './recipe.ts';

export interface PictureList {
  readonly list: File | undefined;
  readonly count: number;
  readonly filesBytes: number;
}

export interface InferRequest {
  readonly source:
    | { readonly $case: 'pictures'; readonly value: PictureList }
    | { readonly $case: 'film'; readonly value: File }
    | undefined;
  readonly model: string;
  readonly threshold?: number | undefined;
  readonly batch: number;
  readonly most: number;
  readonly everyMs: number;
  readonly perUnit: number;
  readonly provider: string;
  readonly vramBytes: number;
  readonly format?: string | undefined;
}

const PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu'];
const LINES = 'results.jsonl';
const TABLE = 'results.parquet';
/** What users get. Lines are made for a table, too: it is proven by them. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  jsonl: [LINES],
  parquet: [TABLE],
  both: [LINES, TABLE],
};
const PIECE_MS = 10_000;
const MOST_BATCH = 1_024;
const MOST_FINDINGS = 1_000;
/** Of a list among the inputs of the steps that join and prove. */
const LIST_FILE = 'pictures.list';
/** What a model takes beside its file, before anything is known of it: learned from what units take. */
const MODEL_RAM_BYTES = 512 * MIB;
/** Decoded pictures on their way: 36 million pixels at most, and what is scaled of them. */
const DECODER_RAM_BYTES = 512 * MIB;
/** A line for each of a thousand findings, say. */
const LINE_BYTES = 512;
/** An hour of film: how many frames one has is known when it has been cut. */
const USUAL_FRAMES = 100_000;

export function inferSteps(
  request: InferRequest,
  models: KnownModels,
  unitsAtOnce: UnitsAtOnce,
): RecipePlan {
  const fault = faultOf(request);
  if (fault !== undefined) return invalid(fault);
  const model = chooseModel(models, request.model, 'detect', 'classify');
  if (model.state === 'invalid') return model;
  const { source } = request;
  switch (source?.$case) {
    case 'pictures':
      return ofPictures(request, source.value, model, unitsAtOnce);
    case 'film':
      return { state: 'ok', steps: ofFilm(request, source.value, model) };
    case undefined:
      return invalid('nothing to look at: give pictures or a film');
  }
}

function faultOf(request: InferRequest): string | undefined {
  const { threshold = 0, batch, most, perUnit, provider, source } = request;
  if (!(threshold >= 0 && threshold <= 1)) return `threshold ${threshold} is not from 0 to 1`;
  if (!isWhole(batch, 0, MOST_BATCH)) return `batch ${batch} is not from 0 to ${MOST_BATCH}`;
  if (!isWhole(most, 0, MOST_FINDINGS)) return `most ${most} is not from 0 to ${MOST_FINDINGS}`;
  if (!isWhole(perUnit, 0, 10_000)) return `${perUnit} pictures a unit is not from 1 to 10000`;
  if (provider !== '' && !PROVIDERS.includes(provider)) {
    return `provider ${quote(provider)} is none of ${PROVIDERS.join(', ')}`;
  }
  if (!Object.hasOwn(KEPT, formatOf(request))) {
    return `format ${quote(formatOf(request))} is not known: use jsonl, parquet or both`;
  }
  if (request.everyMs > 0 && source?.$case === 'pictures') {
    return 'every so many milliseconds is for films: pictures have no time';
  }
  return undefined;
}

function ofPictures(
  request: InferRequest,
  { list, count, filesBytes }: PictureList,
  model: ChosenModel,
  unitsAtOnce: UnitsAtOnce,
): RecipePlan {
  if (list === undefined || count === 0) return invalid('there are no pictures: give at least one');
  const { width, height } = model.unit.manifest;
  const places = unitsAtOnce(lookDemand(request, model, 0));
  const usual = picturesAUnit({ count, filesBytes }, width * height, places);
  const perUnit = Math.min(count, request.perUnit || usual);
  const space: FileListSpace = { list, perUnit, count, filesBytes };
  // Those of one unit may be larger than others'.
  const partBytes = Math.ceil((filesBytes / count) * perUnit) * 2;
  const look: StepSpec = {
    name: 'infer',
    dependsOn: [],
    parameters: { kind: { $case: 'fileList', value: space } },
    task: { kind: { $case: 'inferPictures', value: { looking: lookingOf(request, model) } } },
    inputs: [model.input],
    outputs: [output('part-*'), output('time-*')],
    demand: lookDemand(request, model, partBytes),
    limits: stallsAfter(300_000),
  };
  const named = fileInput({ ...list, name: LIST_FILE });
  const found = { lines: count, list: LIST_FILE, everyMs: 0, format: formatOf(request) };
  return { state: 'ok', steps: [look, ...joinSteps(found, [named])] };
}

function ofFilm(request: InferRequest, film: File, model: ChosenModel): readonly StepSpec[] {
  const { everyMs } = request;
  const source = { ...film, name: baseName(film.name) };
  const plan = outputsOf('split', 'plan.json');
  const look: StepSpec = {
    name: 'infer',
    dependsOn: ['split'],
    parameters: { kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } } },
    task: {
      kind: { $case: 'inferFrames', value: { looking: lookingOf(request, model), everyMs } },
    },
    inputs: [{ kind: { $case: 'item', value: true } }, plan, model.input],
    outputs: [output('part-*'), output('time-*')],
    demand: lookDemand(request, model, Math.min(source.sizeBytes, 1024 * MIB)),
    limits: stallsAfter(300_000),
  };
  const found = { lines: USUAL_FRAMES, list: '', everyMs, format: formatOf(request) };
  return [splitStep({ source, pieceMs: PIECE_MS }), look, ...joinSteps(found, [plan])];
}

/** Empty is what a client says that asks for nothing. */
function formatOf({ format }: InferRequest): string {
  return format || 'jsonl';
}

function lookingOf(request: InferRequest, { unit }: ChosenModel): Looking {
  const finds = unit.manifest.outputForm <= 2;
  return {
    model: unit,
    provider: providerOf(request),
    threshold: request.threshold ?? (finds ? 0.3 : 0),
    batch: request.batch,
    most: request.most || (finds ? 100 : 5),
  };
}

function providerOf({ provider, vramBytes }: InferRequest): string {
  if (provider !== '') return provider;
  return vramBytes > 0 ? 'cuda' : 'cpu';
}

/** One core each: many small units keep a machine's cores busier than few large ones. */
function lookDemand(request: InferRequest, model: ChosenModel, filesBytes: number): Demand {
  const attributes = ['tool:ffmpeg', `onnx:${providerOf(request)}`];
  const { width, height, maxBatch } = model.unit.manifest;
  const pixels = width * height * Math.max(1, request.batch || maxBatch);
  const guess = { baseBytes: 0, picturesBytes: MODEL_RAM_BYTES + model.sizeBytes * 2 };
  const modelBytes = ramOfModel(model, providerOf(request), pixels, guess);
  const ramBytes = DECODER_RAM_BYTES + modelBytes;
  const usual = demand(1000, ramBytes, filesBytes + model.sizeBytes, attributes);
  const { vramBytes } = request;
  return vramBytes === 0 ? usual : { ...usual, gpus: 1, vramBytes };
}

interface Findings {
  /** Pictures or frames, about. */
  readonly lines: number;
  /** Name of the list of pictures; empty for a film. */
  readonly list: string;
  readonly everyMs: number;
  readonly format: string;
}

function joinSteps(
  { lines, list, everyMs, format }: Findings,
  inputs: readonly Input[],
): readonly StepSpec[] {
  const rest = { parameters: undefined, limits: stallsAfter(600_000) };
  const kept = KEPT[format]!;
  const made = kept.includes(TABLE) ? [LINES, TABLE] : [LINES];
  const scratchBytes = lines * LINE_BYTES * (1 + made.length);
  const task = ($case: 'joinResults' | 'proveResults'): { readonly kind: TaskKind } => ({
    kind: { $case, value: { list, everyMs, format } },
  });
  return [
    {
      ...rest,
      name: 'join',
      dependsOn: ['infer'],
      task: task('joinResults'),
      inputs: [...inputs, outputsOf('infer', 'part-*'), outputsOf('infer', 'time-*')],
      outputs: [
        ...made.map((name) => (kept.includes(name) ? keptOutput(name) : output(name))),
        ...['failures.csv', 'summary.json'].map(keptOutput),
      ],
      demand: demand(1000, 256 * MIB, scratchBytes, []),
    },
    {
      ...rest,
      name: 'proof',
      dependsOn: ['join'],
      task: task('proveResults'),
      inputs: [...inputs, ...[...made, 'summary.json'].map((name) => outputsOf('join', name))],
      outputs: [keptOutput('proof.json')],
      demand: demand(1000, 256 * MIB, scratchBytes, []),
    },
  ];
}
