/**
 * What follows from the state of a job by itself: fan-outs get their units, jobs come to their end.
 * Asked again after each fact until nothing follows, so that it all stands in one commit.
 */
import { fanOutItems } from './fan-out.ts';
import type { Fact } from './facts.ts';
import { type Farm, fixedUnitCount, type Job, type StepRun } from './farm.ts';
import { failureWords, whyInstead } from './stand-in-words.ts';
import { countedFailures, isCalledFor, replacementOf } from './stand-ins.ts';
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
    const count = isCalledFor(job, step) ? unitCount(job, step) : 0;
    return { type: 'UnitsCreated', job: number, step: step.index, count };
  }
  if (job.steps.every((step) => isComplete(job, step))) {
    const reason = failed === 0 ? replacedWords(job) : `borne: ${failureOf(job, failed)}`;
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

function unitCount(job: Job, step: StepRun): number {
  return fixedUnitCount(step.spec.parameters?.kind) ?? fanOutItems(job, step).length;
}

/** Of a job that succeeded by the work of steps that stood in; empty where none had to. */
function replacedWords(job: Job): string {
  for (const step of job.steps) {
    const by = replacementOf(job, step);
    if (by !== undefined) {
      return `${by.spec.name} in place of ${step.spec.name}: ${whyInstead(job, by) ?? 'it was given up'}`;
    }
  }
  return '';
}

/** The first failed unit and why, and how many others there are. */
function failureOf(job: Job, failed: number): string {
  const others = failed > 1 ? `${failed} units failed, the first ` : '';
  for (const step of job.steps) {
    const { units } = step;
    if (units === undefined || countedFailures(step) === 0) continue;
    for (const [unit, { kind }] of units.failures) {
      if (units.stateOf(unit) !== UNIT_FAILED) continue;
      if (step.standIn !== undefined && kind !== 'invalid-input') continue;
      return `${others}${failureWords(job, step, unit)}`;
    }
  }
  return `${failed} units failed`;
}
