/**
 * How the steps of jobs looked last. A commit touches a step or two, and a job may have thousands: the views of
 * the others are taken as they were.
 */
import type { Job } from './farm.ts';
import { failedUnits } from './tolerance.ts';
import { type StepView, viewOfStep } from './views.ts';

/** Indexes of steps. */
export type ChangedSteps = Set<number> | 'all';

export class StepViews {
  readonly #last = new WeakMap<Job, readonly StepView[]>();

  /** `changed`: what may have changed since the last time that this was asked of the job. */
  after(job: Job, changed: ChangedSteps): readonly StepView[] {
    const last = this.#last.get(job);
    const isWhole = last === undefined || changed === 'all' || bearsFailures(job);
    const views = isWhole
      ? job.steps.map((step) => viewOfStep(job, step))
      : withChanged(job, last, changed);
    this.#last.set(job, views);
    return views;
  }
}

/** Whether one failed unit more decides about steps that it has nothing to do with. */
function bearsFailures(job: Job): boolean {
  return job.failures.maxFailedUnits > 0 && failedUnits(job) > 0;
}

function withChanged(job: Job, last: readonly StepView[], changed: Set<number>): StepView[] {
  const views = [...last];
  for (const index of changed) {
    // Those that wait for it may be blocked no longer.
    for (const at of [index, ...(job.steps[index]?.dependents ?? [])]) {
      const step = job.steps[at];
      if (step !== undefined) views[at] = viewOfStep(job, step);
    }
  }
  return views;
}
