/** Every recipe, by its field in `SubmitJobRequest.work`. A new one is a case here. */
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { montageSteps } from '../recipes/montage.ts';
import { checkModelSteps } from '../recipes/check-model.ts';
import { interpolateSteps } from '../recipes/interpolate.ts';
import type { FilmAgent } from '../recipes/encoder-choice.ts';
import type { KnownModels } from '../recipes/models.ts';
import type { RecipePlan, UnitsAtOnce } from '../recipes/recipe.ts';
import { inferSteps } from '../recipes/infer.ts';
import type { FailureRule } from '../domain/task.ts';
import { folderSteps } from '../recipes/folder.ts';
import { ladderSteps } from '../recipes/ladder.ts';
import { renderSteps } from '../recipes/render.ts';
import { audioSteps } from '../recipes/audio.ts';
import { concatSteps } from '../recipes/concat.ts';
import { proxySteps } from '../recipes/proxy.ts';
import { stabilizeSteps } from '../recipes/stabilize.ts';
import { thumbnailSteps } from '../recipes/thumbnails.ts';
import { transcodeSteps } from '../recipes/transcode.ts';
import { upscaleSteps } from '../recipes/upscale.ts';

type Work = NonNullable<SubmitJobRequest['work']>;
export type RecipeWork = Exclude<Work, { readonly $case: 'steps' }>;

export interface RecipeJob {
  readonly plan: RecipePlan;
  /** Of a job that the client gave no name. */
  readonly usualName: string;
  /** Of a job that the client gave no rule. */
  readonly failures?: FailureRule;
}

/** One film that is given up fails none of the others: the job's table says so. */
const ANY_UNIT_MAY_FAIL: FailureRule = { maxFailedUnits: 10_000_000, keepGoing: true };

/** What recipes are told of the farm. */
export interface FarmAtHand {
  /** For recipes that name one. */
  readonly models: KnownModels;
  /** Agents that may take units with these attributes, and can encode films. */
  readonly filmAgents?: (attributes: readonly string[]) => readonly FilmAgent[];
  /** For recipes that cut their work into units. */
  readonly unitsAtOnce: UnitsAtOnce;
}

/** `attributes`: what every unit of the job asks of its agent. */
export function planOf(
  work: RecipeWork,
  { models, filmAgents = () => [], unitsAtOnce }: FarmAtHand,
  attributes: readonly string[],
): RecipeJob {
  const agents = filmAgents(attributes);
  const mostCpus = Math.max(0, ...agents.map(({ cpus }) => cpus));
  switch (work.$case) {
    case 'render':
      return {
        plan: renderSteps(work.value, mostCpus),
        usualName: work.value.scene?.name ?? 'render',
      };
    case 'transcode':
      return {
        plan: transcodeSteps(work.value, agents, unitsAtOnce),
        usualName: work.value.source?.name ?? 'transcode',
      };
    case 'proxy':
      return { plan: proxySteps(work.value), usualName: work.value.source?.name ?? 'proxy' };
    case 'stabilize':
      return {
        plan: stabilizeSteps(work.value),
        usualName: work.value.source?.name ?? 'stabilize',
      };
    case 'thumbnails':
      return {
        plan: thumbnailSteps(work.value),
        usualName: work.value.source?.name ?? 'thumbnails',
      };
    case 'audio':
      return { plan: audioSteps(work.value), usualName: work.value.source?.name ?? 'audio' };
    case 'concat':
      return { plan: concatSteps(work.value), usualName: work.value.clips[0]?.name ?? 'concat' };
    case 'montage':
      return {
        plan: montageSteps(work.value, models, mostCpus),
        usualName: work.value.style === '' ? 'montage' : `montage ${work.value.style}`,
      };
    case 'upscale':
      return {
        plan: upscaleSteps(work.value, models, mostCpus),
        usualName: work.value.source?.name ?? `${work.value.model} on pictures`,
      };
    case 'interpolate':
      return {
        plan: interpolateSteps(work.value, models, mostCpus),
        usualName: work.value.source?.name ?? 'interpolate',
      };
    case 'checkModel':
      return {
        plan: checkModelSteps(work.value, models),
        usualName: `check ${work.value.model}`,
      };
    case 'infer': {
      const { source, model } = work.value;
      const what = source?.$case === 'film' ? source.value.name : 'pictures';
      return {
        plan: inferSteps(work.value, models, unitsAtOnce),
        usualName: `${model} on ${what}`,
      };
    }
    case 'folder':
      return {
        plan: folderSteps(work.value, agents),
        usualName: `${work.value.films.length} films`,
        failures: ANY_UNIT_MAY_FAIL,
      };
    case 'ladder':
      return {
        plan: ladderSteps(work.value, agents),
        usualName: work.value.source?.name ?? 'ladder',
      };
  }
}
