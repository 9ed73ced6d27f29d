/** Every recipe, by its field in `SubmitJobRequest.work`. A new one is a case here. */
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import type { RecipePlan } from '../recipes/recipe.ts';
import type { FailureRule } from '../domain/task.ts';
import { folderSteps } from '../recipes/folder.ts';
import { ladderSteps } from '../recipes/ladder.ts';
import { renderSteps } from '../recipes/render.ts';
import { transcodeSteps } from '../recipes/transcode.ts';

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

export function planOf(work: RecipeWork): RecipeJob {
  switch (work.$case) {
    case 'render':
      return { plan: renderSteps(work.value), usualName: work.value.scene?.name ?? 'render' };
    case 'transcode':
      return {
        plan: transcodeSteps(work.value),
        usualName: work.value.source?.name ?? 'transcode',
      };
    case 'folder':
      return {
        plan: folderSteps(work.value),
        usualName: `${work.value.films.length} films`,
        failures: ANY_UNIT_MAY_FAIL,
      };
    case 'ladder':
      return { plan: ladderSteps(work.value), usualName: work.value.source?.name ?? 'ladder' };
  }
}
