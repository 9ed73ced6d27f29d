/**
 * What follows from the state of a job by itself: fan-outs get their units, jobs come to their end.
 * Asked again after each fact until nothing follows, so that it all stands in one commit.
 */
import { fanOutItems } from './fan-out.ts';
import type { Fact } from './facts.ts';
import { type Farm, type Job, type StepRun, unitId } from './farm.ts';
import { failedUnits, isAtRest, isComplete, isUnblocked } from './tolerance.ts';
import { UNIT_FAILED } from './unit-table.ts';

/** Nothing of a job is completed or given up by these. */
const LEAVE_ALL_OPEN: ReadonlySet<Fact['type']> = new Set([
  'LeasesGranted',
  'LeaseResumed',
  'CheckpointSaved',
]);

/**
 * The next fact that follows for a job, or undefined. `after`: the fact that was applied last, where nothing
 * followed before it: a job may have thousands of steps, and only some of them can have changed.
 */
export function followUp(
  farm: Farm,
  number: number,
  nowMs: number,
  after?: Fact,
): Fact | undefined {
  const job = farm.jobs.get(number);
  if (job === undefined || job.end !== undefined) return undefined;
  if (after !== undefined && LEAVE_ALL_OPEN.has(after.type)) return undefined;
  const failed = failedUnits(job);
  const isBorne = failed <= job.failures.maxFailedUnits;
  if (!isBorne && (!job.failures.keepGoing || isAtRest(job))) {
    const reason = failureOf(job, failed);
    return { type: 'JobEnded', job: number, succeeded: false, reason, atMs: nowMs };
  }
  for (const step of stepsToLookAt(job, after)) {
    if (step.units !== undefined || !isUnblocked(job, step)) continue;
    const count = fanOutItems(job, step).length;
    return { type: 'UnitsCreated', job: number, step: step.index, count };
  }
  if (job.steps.every((step) => isComplete(job, step))) {
    const reason = failed === 0 ? '' : `borne: ${failureOf(job, failed)}`;
    return { type: 'JobEnded', job: number, succeeded: true, reason, atMs: nowMs };
  }
  return undefined;
}

/** Results let only those go on that wait for their step. */
function stepsToLookAt(job: Job, after: Fact | undefined): readonly StepRun[] {
  if (after?.type !== 'ResultsAccepted') return job.steps;
  const dependents = job.steps[after.step]?.dependents ?? [];
  return dependents.flatMap((index) => job.steps[index] ?? []);
}

/**
 * Whether the fact was decided of a lease that an earlier fact of the same decision took away, by ending
 * its job.
 */
export function isVoid(farm: Farm, fact: Fact): boolean {
  if (fact.type === 'LeaseEnded') return !farm.leases.has(fact.token);
  return fact.type === 'LeaseResumed' && !farm.lapsed.has(fact.token);
}

/** The first failed unit and why, and how many others there are. */
function failureOf(job: Job, failed: number): string {
  const others = failed > 1 ? `${failed} units failed, the first ` : '';
  for (const step of job.steps) {
    const { units } = step;
    if (units === undefined || units.counts.failed === 0) continue;
    for (const [unit, failure] of units.failures) {
      if (units.stateOf(unit) !== UNIT_FAILED) continue;
      const attempts = units.attemptsOf(unit);
      const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
      const id = unitId(job.number, step.spec.name, unit);
      return `${others}${id} ${failure.kind}${tried}: ${failure.message}`;
    }
  }
  return `${failed} units failed`;
}
