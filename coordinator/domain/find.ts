/** Jobs, steps and tables that must be there: that one is missing is a programmer's error. */
import type { Farm, Job, StepRun } from './farm.ts';
import type { UnitTable } from './unit-table.ts';

/** The job, which must exist. */
export function jobOf(farm: Farm, number: number): Job {
  const job = farm.jobs.get(number);
  if (job === undefined) throw new Error(`no job ${number} in the farm`);
  return job;
}

/** The step, which must exist. */
export function stepOf(farm: Farm, job: number, step: number): StepRun {
  const run = jobOf(farm, job).steps[step];
  if (run === undefined) throw new Error(`job ${job} has no step ${step}`);
  return run;
}

/** The table of a step whose units are known. */
export function unitsOf(step: StepRun): UnitTable {
  if (step.units === undefined) throw new Error(`units of step ${step.spec.name} are not known`);
  return step.units;
}
