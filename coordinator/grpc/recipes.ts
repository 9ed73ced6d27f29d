/** Every recipe, by its field in `SubmitJobRequest.work`. A new one is a case here. */
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { montageSteps } from '../recipes/montage.ts';
import type { RecipePlan } from '../recipes/recipe.ts';
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
    case 'montage':
      return {
        plan: montageSteps(work.value),
        usualName: work.value.style === '' ? 'montage' : `montage ${work.value.style}`,
      };
  }
}
