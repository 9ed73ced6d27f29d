/** From what a client submits to the steps of a job. */
import { createHash } from 'node:crypto';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { EveryUnit, SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { NO_DEMAND } from '../domain/demand.ts';
import type { Demand, FailureRule, File, StepSpec } from '../domain/task.ts';
import { type FarmAtHand, planOf } from './recipes.ts';

export interface RequestedJob {
  readonly recipe: string;
  readonly name: string;
  readonly steps: readonly StepSpec[];
  /** Undefined: the first failed unit fails the job. */
  readonly failures: FailureRule | undefined;
  /** What was chosen where the request leaves it to the farm, a sentence each. */
  readonly notes: readonly string[];
}

/** FurrowError: invalid INVALID_JOB. */
export function stepsOfRequest(request: SubmitJobRequest, farm: FarmAtHand): RequestedJob {
  const { everyUnit, maxUnits = 0 } = request;
  const unitsAtOnce = (demand: Demand): number => {
    const units = farm.unitsAtOnce(everyUnit === undefined ? demand : demanded(everyUnit, demand));
    return maxUnits > 0 ? Math.min(maxUnits, units) : units;
  };
  const job = withoutEveryUnit(request, { ...farm, unitsAtOnce });
  return everyUnit === undefined
    ? job
    : { ...job, steps: job.steps.map((step) => withDemandOf(everyUnit, step)) };
}

/** A step's own word counts more, where both name a ticket. */
function withDemandOf(everyUnit: EveryUnit, step: StepSpec): StepSpec {
  return { ...step, demand: demanded(everyUnit, step.demand ?? NO_DEMAND) };
}

function demanded({ attributes, tickets }: EveryUnit, demand: Demand): Demand {
  return {
    ...demand,
    attributes: [...new Set([...demand.attributes, ...attributes])],
    tickets: { ...tickets, ...demand.tickets },
  };
}

function withoutEveryUnit(
  { work, name, failures, everyUnit }: SubmitJobRequest,
  farm: FarmAtHand,
): RequestedJob {
  if (work === undefined) {
    const message = 'the request has no work: give steps or a recipe';
    throw new FurrowError('invalid', 'INVALID_JOB', message);
  }
  if (work.$case === 'steps') {
    return { recipe: 'steps', name: name || 'job', steps: work.value.steps, failures, notes: [] };
  }
  const { plan, usualName, failures: usualRule } = planOf(work, farm, everyUnit?.attributes ?? []);
  if (plan.state === 'invalid') throw new FurrowError('invalid', 'INVALID_JOB', plan.message);
  const rule = failures ?? usualRule;
  const { steps, notes = [] } = plan;
  return { recipe: work.$case, name: name || usualName, steps, failures: rule, notes };
}

/** The request as it may be once its files are uploaded: those without a hash get one. */
export function withStandInHashes(request: SubmitJobRequest): SubmitJobRequest {
  return { ...request, work: withStandIns(request.work) };
}

/** Files are told by their fields, wherever in a request they stand. */
function withStandIns<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map((item) => withStandIns<unknown>(item)) as Value;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, withStandIns<unknown>(field)]);
  const copy = Object.fromEntries(fields) as Value & Partial<File>;
  const isUnsent = copy.sha256 === '' && 'sizeBytes' in copy && 'name' in copy;
  return isUnsent ? { ...copy, sha256: standInFor(copy.name ?? '') } : copy;
}

/** As hard to compress as the real ones: whether the job fits into the journal is measured with it. */
function standInFor(name: string): string {
  return createHash('sha256').update(name).digest('hex');
}
