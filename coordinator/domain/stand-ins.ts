/**
 * A step may stand in for another. It has no units unless one of that other's fails for good; then that step is
 * given up: nothing more of it starts, its failures do not count, and whoever takes its outputs gets the stand-in's,
 * all of them. What both made is never mixed.
 */
import type { Job, StepRun } from './farm.ts';
import { UNIT_FAILED } from './unit-table.ts';

/** Whether the step's work is done by another from now on. */
export function isGivenUp(job: Job, step: StepRun): boolean {
  const standIn = standInOf(job, step);
  if (standIn === undefined) return false;
  // A failed unit that was queued again does not bring it back: its stand-in has begun.
  return (standIn.units?.size ?? 0) > 0 || failedUnitOf(step) !== undefined;
}

/** Whether a step has work to do: one that stands in only where the other is given up. */
export function isCalledFor(job: Job, step: StepRun): boolean {
  const original = originalOf(job, step);
  return original === undefined || failedUnitOf(original) !== undefined;
}

/** The step whose outputs those are that others take by this name. */
export function producerOf(job: Job, name: string): StepRun | undefined {
  const step = job.steps.find(({ spec }) => spec.name === name);
  const standIn = step && standInOf(job, step);
  return (standIn?.units?.size ?? 0) > 0 ? standIn : step;
}

/** Failed units that count against the job: what is wrong with an input stays wrong whoever does the work. */
export function countedFailures({ units, standIn }: StepRun): number {
  const failed = units?.counts.failed ?? 0;
  if (standIn === undefined || units === undefined || failed === 0) return failed;
  let counted = 0;
  for (const [unit, { kind }] of units.failures) {
    if (kind === 'invalid-input' && units.stateOf(unit) === UNIT_FAILED) counted += 1;
  }
  return counted;
}

/** The step that does this one's work, if it is given up; undefined while it is not. */
export function replacementOf(job: Job, step: StepRun): StepRun | undefined {
  return isGivenUp(job, step) ? standInOf(job, step) : undefined;
}

function standInOf(job: Job, { standIn }: StepRun): StepRun | undefined {
  return standIn === undefined ? undefined : job.steps[standIn];
}

/** The step for which this one stands in. */
export function originalOf(job: Job, { spec }: StepRun): StepRun | undefined {
  const { insteadOf } = spec;
  return insteadOf === undefined
    ? undefined
    : job.steps.find((step) => step.spec.name === insteadOf);
}

/** The first unit for which another step has to do the work. */
export function failedUnitOf({ units }: StepRun): number | undefined {
  if (units === undefined || units.counts.failed === 0) return undefined;
  for (const [unit, { kind }] of units.failures) {
    if (kind !== 'invalid-input' && units.stateOf(unit) === UNIT_FAILED) return unit;
  }
  return undefined;
}
