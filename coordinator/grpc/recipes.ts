/** Every recipe, by its field in `SubmitJobRequest.work`. A new one is a case here. */
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import type { RecipePlan } from '../recipes/recipe.ts';
import { audioSteps } from '../recipes/audio.ts';
import { concatSteps } from '../recipes/concat.ts';
import { proxySteps } from '../recipes/proxy.ts';
import { stabilizeSteps } from '../recipes/stabilize.ts';
import { thumbnailSteps } from '../recipes/thumbnails.ts';
import { renderSteps } from '../recipes/render.ts';
import { transcodeSteps } from '../recipes/transcode.ts';

type Work = NonNullable<SubmitJobRequest['work']>;
export type RecipeWork = Exclude<Work, { readonly $case: 'steps' }>;

export interface RecipeJob {
  readonly plan: RecipePlan;
  /** Of a job that the client gave no name. */
  readonly usualName: string;
}

export function planOf(work: RecipeWork): RecipeJob {
  switch (work.$case) {
    case 'render':
      return { plan: renderSteps(work.value), usualName: work.value.scene?.name ?? 'render' };
    case 'transcode':
      return {
        plan: transcodeSteps(work.value),
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
  }
}
