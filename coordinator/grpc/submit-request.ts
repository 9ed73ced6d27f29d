/** From what a client submits to the steps of a job. */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { EveryUnit, SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { NO_DEMAND } from '../domain/demand.ts';
import type { File, Input, StepSpec } from '../domain/task.ts';
import { transcodeSteps } from '../recipes/transcode.ts';

export interface RequestedJob {
  readonly recipe: string;
  readonly name: string;
  readonly steps: readonly StepSpec[];
}

/** FurrowError: invalid INVALID_JOB. */
export function stepsOfRequest(request: SubmitJobRequest): RequestedJob {
  const { recipe, name, steps } = withoutEveryUnit(request);
  const { everyUnit } = request;
  return everyUnit === undefined
    ? { recipe, name, steps }
    : { recipe, name, steps: steps.map((step) => withDemandOf(everyUnit, step)) };
}

/** A step's own word counts more, where both name a ticket. */
function withDemandOf({ attributes, tickets }: EveryUnit, step: StepSpec): StepSpec {
  const demand = step.demand ?? NO_DEMAND;
  return {
    ...step,
    demand: {
      ...demand,
      attributes: [...new Set([...demand.attributes, ...attributes])],
      tickets: { ...tickets, ...demand.tickets },
    },
  };
}

function withoutEveryUnit(request: SubmitJobRequest): RequestedJob {
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

const STAND_IN_SHA256 = '0'.repeat(64);

/** The request as it may be once its files are uploaded: those without a hash get one. */
export function withStandInHashes(request: SubmitJobRequest): SubmitJobRequest {
  const { work } = request;
  switch (work?.$case) {
    case undefined:
      return request;
    case 'transcode': {
      const { source } = work.value;
      const value = { ...work.value, source: source && standIn(source) };
      return { ...request, work: { ...work, value } };
    }
    case 'steps': {
      const steps = work.value.steps.map((step) => ({
        ...step,
        inputs: step.inputs.map((input): Input => {
          if (input.kind?.$case !== 'file') return input;
          return { kind: { $case: 'file', value: standIn(input.kind.value) } };
        }),
      }));
      return { ...request, work: { ...work, value: { steps } } };
    }
  }
}

function standIn(file: File): File {
  return file.sha256 === '' ? { ...file, sha256: STAND_IN_SHA256 } : file;
}
