/**
 * The recipe `upscale`: `transcode`, but that a model makes each piece's frames larger before they are encoded.
 * Units of one machine share its memory: each takes tiles as large as its part allows.
 */
import type { AudioEncoding, Demand, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { faultOfProvider, withModel } from './model-demand.ts';
import { type ChosenModel, chooseModel, type KnownModels } from './models.ts';
import { invalid, isWhole, MIB, quote, type RecipePlan, stallsAfter } from './recipe.ts';
import { transcodeSteps } from './transcode.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface UpscaleRequest {
  readonly source?: File | undefined;
  /** The farm's name of it. */
  readonly model: string;
  /** That the model must have; 0 for any. */
  readonly scale: number;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly film: string;
  readonly pieceMs: number;
  readonly provider: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly vramBytes: number;
  readonly mixedEncoders?: boolean | undefined;
}

/** More threads help one model less and less; more units help as many times. */
const DEFAULT_CPUS = 2;
const MAX_CPUS = 64;
const LEAST_RAM_BYTES = 512 * MIB;
/** One large frame may take minutes, and is told of tile by tile; loading is not. */
const STALL_MS = 900_000;

export function upscaleSteps(request: UpscaleRequest, models: KnownModels): RecipePlan {
  const { source, video, audio, film, pieceMs, mixedEncoders } = request;
  const model = chooseModel(models, request.model, 'upscale');
  if (model.state === 'invalid') return model;
  const fault = faultOf(request, model);
  if (fault !== undefined) return invalid(fault);
  const cpus = request.cpus || DEFAULT_CPUS;
  const threaded = { ...NO_VIDEO, ...video, threads: cpus };
  const plan = transcodeSteps({ source, video: threaded, audio, film, pieceMs, mixedEncoders });
  if (plan.state === 'invalid') return plan;
  return { state: 'ok', steps: plan.steps.map((step) => enlarged(step, request, model)) };
}

const NO_VIDEO: VideoEncoding = {
  encoder: '',
  crf: 0,
  preset: '',
  width: 0,
  height: 0,
  threads: 0,
};

function faultOf(request: UpscaleRequest, { unit }: ChosenModel): string | undefined {
  const { scale, cpus, ramBytes, video, provider } = request;
  const its = unit.manifest.scale;
  if (scale !== 0 && scale !== its) {
    return `the model ${quote(unit.name)} makes pictures ${its} times as large, not ${scale}: choose another model`;
  }
  if ((video?.width ?? 0) !== 0 || (video?.height ?? 0) !== 0) {
    return "the size is the model's: leave width and height 0, or transcode what comes out";
  }
  if (cpus !== 0 && !isWhole(cpus, 1, MAX_CPUS)) {
    return `cpus ${cpus} is out of range: use 1 to ${MAX_CPUS}`;
  }
  if (ramBytes !== 0 && ramBytes < LEAST_RAM_BYTES) {
    return `${Math.floor(ramBytes / MIB)} MiB of memory is too little for any model: give ${LEAST_RAM_BYTES / MIB} MiB at least`;
  }
  return faultOfProvider(provider);
}

function enlarged(step: StepSpec, request: UpscaleRequest, model: ChosenModel): StepSpec {
  const kind = step.task?.kind;
  if (kind?.$case !== 'encode' || step.demand === undefined) return step;
  const { encoder = '', crf = 0, preset = '' } = kind.value.video ?? {};
  const provider = request.provider || (request.vramBytes > 0 ? 'cuda' : 'cpu');
  const use = { model: model.unit, provider };
  return {
    ...step,
    task: { kind: { $case: 'upscale', value: { use, video: { encoder, crf, preset } } } },
    inputs: [...step.inputs, model.input],
    demand: withWishes(withModel(step.demand, model, provider), request),
    limits: stallsAfter(STALL_MS),
  };
}

function withWishes(demand: Demand, { ramBytes, vramBytes }: UpscaleRequest): Demand {
  return {
    ...demand,
    ...(ramBytes > 0 && { ramBytes }),
    ...(vramBytes > 0 && { gpus: 1, vramBytes }),
  };
}
