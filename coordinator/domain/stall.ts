/**
 * How long a unit may show no progress. Who submits a job may say so; else it is the farm's limit, or less
 * where units of that kind are over long before it: a unit of two seconds need not hang for two minutes.
 */
import type { StepRun } from './farm.ts';
import { type LearnedSize, usualRunMs } from './learned-sizes.ts';

/** So many run times without a sign are no slow unit any more. */
const RUNS = 10;
/** A busy disk or a cold cache is no stall. */
const LEAST_MS = 30_000;
/** With fewer nobody knows what is usual. */
const ENOUGH_UNITS = 20;

/** 0 for no limit. */
export function stallTimeoutOf(
  { spec, limits }: StepRun,
  learned: LearnedSize | undefined,
): number {
  const { stallTimeoutMs } = limits;
  const isGiven = (spec.limits?.stallTimeoutMs ?? 0) > 0;
  if (isGiven || learned === undefined || learned.units < ENOUGH_UNITS) return stallTimeoutMs;
  const runMs = usualRunMs(learned);
  return runMs === undefined ? stallTimeoutMs : clamp(runMs * RUNS, LEAST_MS, stallTimeoutMs);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
