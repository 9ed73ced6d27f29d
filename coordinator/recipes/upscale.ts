/**
 * The recipe `upscale`. Of pictures: one unit for each, or for a few. Of a film: `transcode`, but that a model makes each piece's frames larger before they are encoded.
 * Units of one machine share its memory: each takes tiles as large as its part allows.
 */
import type { AudioEncoding, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { faultOfWishes, wishedProvider, withWishes } from './model-demand.ts';
import { type ChosenModel, chooseModel, type KnownModels } from './models.ts';
import type { PictureList } from './infer.ts';
import {
  demand,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';
import { transcodeSteps } from './transcode.ts';
import { usualCpus } from './usual-cpus.ts';

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
  /** Instead of a film. */
  readonly pictures?: PictureList | undefined;
  readonly format: string;
  readonly quality: number;
  readonly perUnit: number;
}

/** Beside the model: two pictures, of which one is large, in ffmpeg. */
const PICTURE_RAM_BYTES = 512 * MIB;
const MOST_A_UNIT = 1000;
/** One large frame may take minutes, and is told of tile by tile; loading is not. */
const STALL_MS = 900_000;

/** `mostCpus`: see `usualCpus`. */
export function upscaleSteps(asked: UpscaleRequest, models: KnownModels, mostCpus = 0): RecipePlan {
  const request = { ...asked, cpus: asked.cpus || usualCpus(mostCpus) };
  const { source, video, audio, film, pieceMs, mixedEncoders } = request;
  const model = chooseModel(models, request.model, 'upscale');
  if (model.state === 'invalid') return model;
  const fault = faultOf(request, model);
  if (fault !== undefined) return invalid(fault);
  if (request.pictures !== undefined) return ofPictures(request, request.pictures, model);
  const threaded = { ...NO_VIDEO, ...video, threads: request.cpus };
  const plan = transcodeSteps({ source, video: threaded, audio, film, pieceMs, mixedEncoders });
  if (plan.state === 'invalid') return plan;
  return { state: 'ok', steps: plan.steps.map((step) => enlarged(step, request, model)) };
}

/** Folders in folders, as deep as pictures lie. */
const DEPTHS = ['large/*', 'large/*/*', 'large/*/*/*', 'large/*/*/*/*'];

function ofPictures(
  request: UpscaleRequest,
  { list, count, filesBytes }: PictureList,
  model: ChosenModel,
): RecipePlan {
  const { source, format, quality, cpus, perUnit } = request;
  if (source !== undefined) return invalid('give a film or pictures, not both');
  if (list === undefined || count === 0) return invalid('there are no pictures: give at least one');
  if (!['', 'png', 'jpg', 'webp'].includes(format)) {
    return invalid(`format ${quote(format)} is not known: use png, jpg or webp`);
  }
  if (!isWhole(quality, 0, 100)) return invalid(`quality ${quality} is out of range: use 1 to 100`);
  if (!isWhole(perUnit, 0, MOST_A_UNIT)) {
    return invalid(`${perUnit} pictures a unit are out of range: use 1 to ${MOST_A_UNIT}`);
  }
  const part = perUnit || 1;
  // What is larger by the square of the scale is larger in its file, too; some pictures are larger than others.
  const partBytes = (filesBytes / count) * part * 4 * (1 + model.unit.manifest.scale ** 2);
  const chosen = wishedProvider(request);
  const own = demand(cpus * 1000, PICTURE_RAM_BYTES, Math.ceil(partBytes) + 256 * MIB, [
    'tool:ffmpeg',
  ]);
  const step: StepSpec = {
    name: 'upscale',
    dependsOn: [],
    parameters: {
      kind: { $case: 'fileList', value: { list, perUnit: part, count, filesBytes } },
    },
    task: {
      kind: {
        $case: 'upscaleImages',
        value: { use: { model: model.unit, provider: chosen }, format, quality },
      },
    },
    inputs: [model.input],
    outputs: [
      ...DEPTHS.map((pattern) => ({ ...keptOutput(pattern), optional: true })),
      keptOutput('*.proof.json'),
    ],
    demand: withWishes(own, model, request),
    limits: stallsAfter(STALL_MS),
  };
  return { state: 'ok', steps: [step] };
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
  const { scale, video } = request;
  const its = unit.manifest.scale;
  if (scale !== 0 && scale !== its) {
    return `the model ${quote(unit.name)} makes pictures ${its} times as large, not ${scale}: choose another model`;
  }
  if ((video?.width ?? 0) !== 0 || (video?.height ?? 0) !== 0) {
    return "the size is the model's: leave width and height 0, or transcode what comes out";
  }
  return faultOfWishes(request);
}

function enlarged(step: StepSpec, request: UpscaleRequest, model: ChosenModel): StepSpec {
  const kind = step.task?.kind;
  if (kind?.$case !== 'encode' || step.demand === undefined) return step;
  const { encoder = '', crf = 0, preset = '' } = kind.value.video ?? {};
  const provider = wishedProvider(request);
  const use = { model: model.unit, provider };
  return {
    ...step,
    task: { kind: { $case: 'upscale', value: { use, video: { encoder, crf, preset } } } },
    inputs: [...step.inputs, model.input],
    demand: withWishes(step.demand, model, request),
    limits: stallsAfter(STALL_MS),
  };
}
