/** Keeps the farm's ready index true: which steps have units that placement should look at, and in what place. */
import type { Farm, Job, StepRun } from './farm.ts';
import type { ReadyStep } from './ready-index.ts';
import { queuedByClass } from './size.ts';
import { isUnblocked } from './tolerance.ts';

/** Keeps the ready index true for the steps that wait for this one. */
export function refreshDependents(farm: Farm, job: Job, step: StepRun): void {
  for (const index of step.dependents) {
    const dependent = job.steps[index];
    if (dependent !== undefined) refreshReady(farm, job, dependent);
  }
}

/** Takes note of how far the job is: that changes its place in the ready index eight times at most. */
export function refreshProgress(farm: Farm, job: Job): void {
  const eighths = eighthsOf(job.steps);
  if (eighths === job.eighths) return;
  for (const step of job.steps) takeFromReady(farm, job, step);
  job.eighths = eighths;
  for (const step of job.steps) refreshReady(farm, job, step);
}

/**
 * Of eight parts of the units that are known so many are accepted. The part, and not the number that is left:
 * else a stream of small jobs would hold up a large one for ever.
 */
export function eighthsOf(steps: readonly StepRun[]): number {
  let [accepted, size] = [0, 0];
  for (const { units } of steps) {
    accepted += units?.counts.accepted ?? 0;
    size += units?.size ?? 0;
  }
  return size === 0 ? 0 : Math.floor((accepted * 8) / size);
}

export function readyEntry(job: Job, step: StepRun): ReadyStep {
  const { number, priority, owner, eighths } = job;
  return { job: number, step: step.index, priority, owner, eighths };
}

/** Before its class or place changes: `refreshReady` puts it back. */
export function takeFromReady(farm: Farm, job: Job, step: StepRun): void {
  const entry = readyEntry(job, step);
  for (const classKey of readyClasses(job, step).keys()) farm.ready.remove(classKey, entry);
}

/** Keeps the ready index true for one step. */
export function refreshReady(farm: Farm, job: Job, step: StepRun): void {
  const entry = readyEntry(job, step);
  for (const [classKey, isReady] of readyClasses(job, step)) {
    if (isReady) farm.ready.add(classKey, entry);
    else farm.ready.remove(classKey, entry);
  }
}

/** The classes of the step's units, and whether placement should look at those of each. */
export function readyClasses(job: Job, step: StepRun): ReadonlyMap<string, boolean> {
  const { units } = step;
  const isOpen = job.end === undefined && !job.paused && units !== undefined;
  const mayStart = isOpen && units.counts.queued > 0 && isUnblocked(job, step);
  if (units === undefined || units.growths.size === 0) return new Map([[step.classKey, mayStart]]);
  return new Map([...queuedByClass(step)].map(([key, queued]) => [key, mayStart && queued > 0]));
}
