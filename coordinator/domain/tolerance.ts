/**
 * How many failed units a job bears. By default the first one fails it. With `maxFailedUnits` it succeeds
 * without those few: steps that take their step's outputs get what there is. With `keepGoing` a job that
 * has failed still does all the rest that it can, and fails then.
 */
import type { Job, StepRun } from './farm.ts';
import { countedFailures, isGivenUp } from './stand-ins.ts';
import type { FailureRule } from './task.ts';

export const FIRST_FAILURE_ENDS: FailureRule = { maxFailedUnits: 0, keepGoing: false };

export function failedUnits(job: Job): number {
  return job.steps.reduce((sum, step) => sum + countedFailures(step), 0);
}

/** Whether all units of the step have their result, or failed as the job allows; or it was given up. */
export function isComplete(job: Job, step: StepRun): boolean {
  const { units } = step;
  if (units === undefined) return false;
  if (isGivenUp(job, step)) return true;
  const { accepted, failed } = units.counts;
  if (accepted + failed < units.size) return false;
  return failed === 0 || failedUnits(job) <= job.failures.maxFailedUnits;
}

/** Whether the step's queued units may start. */
export function isUnblocked(job: Job, step: StepRun): boolean {
  if (isGivenUp(job, step)) return false;
  return step.dependencies.every((index) => {
    const dependency = job.steps[index];
    return dependency !== undefined && isComplete(job, dependency);
  });
}

/** Whether nothing of the job runs or can ever start. */
export function isAtRest(job: Job): boolean {
  return job.steps.every((step) => {
    const { units } = step;
    if (units === undefined) return !isUnblocked(job, step);
    const { queued, leased } = units.counts;
    return leased === 0 && (queued === 0 || !isUnblocked(job, step));
  });
}
