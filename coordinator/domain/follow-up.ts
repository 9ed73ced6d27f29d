/**
 * What follows from the state of a job by itself: fan-outs get their units, jobs come to their end.
 * Asked again after each fact until nothing follows, so that it all stands in one commit.
 */
import { fanOutItems } from './apply.ts';
import type { Fact } from './facts.ts';
import { type Farm, isComplete, isUnblocked, type Job, unitId } from './farm.ts';
import { UNIT_FAILED } from './unit-table.ts';

/** The next fact that follows for a job, or undefined. */
export function followUp(farm: Farm, number: number, nowMs: number): Fact | undefined {
  const job = farm.jobs.get(number);
  if (job === undefined || job.end !== undefined) return undefined;
  const failure = failureOf(job);
  if (failure !== undefined) {
    return { type: 'JobEnded', job: number, succeeded: false, reason: failure, atMs: nowMs };
  }
  for (const step of job.steps) {
    if (step.units !== undefined || !isUnblocked(job, step)) continue;
    const count = fanOutItems(job, step).length;
    return { type: 'UnitsCreated', job: number, step: step.index, count };
  }
  if (job.steps.every(isComplete)) {
    return { type: 'JobEnded', job: number, succeeded: true, reason: '', atMs: nowMs };
  }
  return undefined;
}

/**
 * Whether the fact was decided of a lease that an earlier fact of the same decision took away, by ending
 * its job.
 */
export function isVoid(farm: Farm, fact: Fact): boolean {
  if (fact.type === 'LeaseEnded') return !farm.leases.has(fact.token);
  return fact.type === 'LeaseResumed' && !farm.lapsed.has(fact.token);
}

/** Why the job has failed, or undefined. */
function failureOf(job: Job): string | undefined {
  for (const step of job.steps) {
    const { units } = step;
    if (units === undefined || units.counts.failed === 0) continue;
    for (const [unit, failure] of units.failures) {
      if (units.stateOf(unit) !== UNIT_FAILED) continue;
      const attempts = units.attemptsOf(unit);
      const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
      return `${unitId(job.number, step.spec.name, unit)} ${failure.kind}${tried}: ${failure.message}`;
    }
  }
  return undefined;
}
