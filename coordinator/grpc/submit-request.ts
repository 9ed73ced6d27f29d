/** From what a client submits to the steps of a job. */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import type { StepSpec } from '../domain/task.ts';
import { transcodeSteps } from '../recipes/transcode.ts';

export interface RequestedJob {
  readonly recipe: string;
  readonly name: string;
  readonly steps: readonly StepSpec[];
}

/** FurrowError: invalid INVALID_JOB. */
export function stepsOfRequest(request: SubmitJobRequest): RequestedJob {
  switch (request.work?.$case) {
    case 'steps':
      return { recipe: 'steps', name: request.name || 'job', steps: request.work.value.steps };
    case 'transcode': {
      const plan = transcodeSteps(request.work.value);
      if (plan.state === 'invalid') throw new FurrowError('invalid', 'INVALID_JOB', plan.message);
      const name = request.name || (request.work.value.source?.name ?? 'transcode');
      return { recipe: 'transcode', name, steps: plan.steps };
    }
    case undefined:
      throw new FurrowError(
        'invalid',
        'INVALID_JOB',
        'the request has no work: give steps or a recipe',
      );
  }
}
