/** What is said of a step that does another's work, and of units that failed. */
import { type Job, type StepRun, unitId } from './farm.ts';
import { failedUnitOf, originalOf } from './stand-ins.ts';

/** Why the step does another's work, in one line; undefined for steps that do their own. */
export function whyInstead(job: Job, step: StepRun): string | undefined {
  const original = originalOf(job, step);
  const unit = original && failedUnitOf(original);
  return original === undefined || unit === undefined
    ? undefined
    : failureWords(job, original, unit);
}

/** `j12/encode/7 failed after 3 attempts: …` */
export function failureWords(job: Job, { spec, units }: StepRun, unit: number): string {
  const failure = units?.failures.get(unit);
  const attempts = units?.attemptsOf(unit) ?? 0;
  const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
  return `${unitId(job.number, spec.name, unit)} ${failure?.kind ?? 'failed'}${tried}: ${failure?.message ?? ''}`;
}
