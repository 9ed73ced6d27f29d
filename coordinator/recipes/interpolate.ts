/**
 * The recipe `interpolate`: `transcode`, but that each piece becomes frames at other times, of which a model makes
 * those that the source does not have. Pieces hold two frames of what follows them: the first is the other end of
 * their last step, the second tells whether a new scene begins there.
 */
import { type ModelManifest, TIMESTEP_NONE } from '../domain/model.ts';
import type { AudioEncoding, File, Retime, StepSpec, VideoEncoding } from '../domain/task.ts';
import { faultOfProvider, withModel } from './model-demand.ts';
import { frameRateOf } from './frame-rate.ts';
import { type ChosenModel, chooseModel, type KnownModels } from './models.ts';
import { invalid, isWhole, type RecipePlan, stallsAfter } from './recipe.ts';
import { transcodeSteps } from './transcode.ts';
import { usualCpus } from './usual-cpus.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface InterpolateRequest {
  readonly source?: File | undefined;
  /** The farm's name of it. */
  readonly model: string;
  /** Frames for each of the source's; 0 where a rate is asked for. Without either, 2. */
  readonly factor: number;
  /** Frames a second, such as `60` or `60000/1001`; empty where a factor is asked for. */
  readonly fps: string;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly film: string;
  readonly pieceMs: number;
  readonly provider: string;
  readonly mixedEncoders?: boolean | undefined;
  /** Short runs of frames that show the same are one frame each. */
  readonly smoothDuplicates?: boolean | undefined;
}

const MAX_FACTOR = 16;
const DEFAULT_FACTOR = 2;
const TAIL_FRAMES = 2;
/** For runs of up to six that show the same: the one that the piece begins in, and the step into it; and the one that it ends in, with the next. */
const SMOOTH_LEAD_FRAMES = 7;
const SMOOTH_TAIL_FRAMES = 12;
/** The model and the encoder take turns on them; more units help more than more threads. */
/** One large frame may take minutes. */
const STALL_MS = 900_000;

const NO_VIDEO: VideoEncoding = {
  encoder: '',
  crf: 0,
  preset: '',
  width: 0,
  height: 0,
  threads: 0,
};

/** `mostCpus`: see `usualCpus`. */
export function interpolateSteps(
  request: InterpolateRequest,
  models: KnownModels,
  mostCpus = 0,
): RecipePlan {
  const { source, video, audio, film, pieceMs, mixedEncoders } = request;
  const model = chooseModel(models, request.model, 'interpolate');
  if (model.state === 'invalid') return model;
  const retime = retimeOf(request);
  if (typeof retime === 'string') return invalid(retime);
  const fault = faultOfModel(model.unit.manifest, retime) ?? faultOfProvider(request.provider);
  if (fault !== undefined) return invalid(fault);
  if ((video?.width ?? 0) !== 0 || (video?.height ?? 0) !== 0) {
    return invalid('interpolate keeps the size of the film: leave width and height 0');
  }
  const threads = video?.threads || usualCpus(mostCpus);
  const threaded = { ...NO_VIDEO, ...video, threads };
  const plan = transcodeSteps({ source, video: threaded, audio, film, pieceMs, mixedEncoders });
  if (plan.state === 'invalid') return plan;
  const steps = plan.steps.map((step) => retimed(step, retime, model, request));
  return { state: 'ok', steps };
}

/** A text when it is none: one line. */
function retimeOf({ factor, fps }: InterpolateRequest): Retime | string {
  const rate = frameRateOf(fps);
  if (typeof rate === 'string') return rate;
  if (factor !== 0 && rate !== undefined) return 'give a factor or a frame rate, not both';
  if (rate !== undefined) return { ...rate, factor: 0, between: true };
  if (!isWhole(factor || DEFAULT_FACTOR, 2, MAX_FACTOR)) {
    return `factor ${factor} is out of range: use 2 to ${MAX_FACTOR}`;
  }
  return { rateNum: 0, rateDen: 0, factor: factor || DEFAULT_FACTOR, between: true };
}

/** One that is not told the time halves, and halves again. */
function faultOfModel({ timestep }: ModelManifest, { factor }: Retime): string | undefined {
  if (timestep !== TIMESTEP_NONE || [2, 4, 8, 16].includes(factor)) return undefined;
  return 'this model makes the frame half-way and is not told other times: use factor 2, 4, 8 or 16, or another model';
}

/** The same film chain: only what the pieces hold, and what makes chunks of them, is another. */
function retimed(
  step: StepSpec,
  retime: Retime,
  model: ChosenModel,
  { provider, smoothDuplicates }: InterpolateRequest,
): StepSpec {
  const smooths = smoothDuplicates === true;
  const kind = step.task?.kind;
  switch (kind?.$case) {
    case 'split': {
      const around = smooths
        ? { leadFrames: SMOOTH_LEAD_FRAMES, tailFrames: SMOOTH_TAIL_FRAMES }
        : { tailFrames: TAIL_FRAMES };
      const value = { ...kind.value, retime, ...around };
      return { ...step, task: { kind: { ...kind, value } } };
    }
    case 'encode': {
      const { encoder = '', crf = 0, preset = '' } = kind.value.video ?? {};
      const use = { model: model.unit, provider: provider || 'cpu' };
      const value = {
        use,
        video: { encoder, crf, preset },
        ...(smooths && { smoothDuplicates: true }),
      };
      return {
        ...step,
        task: { kind: { $case: 'interpolate', value } },
        inputs: [...step.inputs, model.input],
        demand: step.demand && withModel(step.demand, model, provider),
        limits: stallsAfter(STALL_MS),
      };
    }
    default:
      return step;
  }
}
