/**
 * How long an agent takes for a step's units: soft, learned from the results that come, and what decides
 * how many units may wait there. Times are milliseconds of the monotonic clock.
 */

/** One step on one agent. */
export interface Pace {
  /** Leases of the step that the agent has. */
  open: number;
  /** When one of them was done last; while none has, when the first was granted. */
  lastDoneMs: number;
  /** How long units run, smoothed; undefined before the first result. */
  runMs: number | undefined;
}

/** By job and step. */
export type Paces = Map<string, Pace>;

/** What waits at an agent is to keep it busy for so long. A longer unit needs nobody behind it. */
const PREFILL_MS = 500;
/** Nothing is quicker: a unit that does nothing still is handed over, started and reported. */
const LEAST_RUN_MS = 0.1;
/** With nothing done for so long, an agent counts as slower than it was. */
const STANDSTILL_MS = 1_000;
/** Weight of the latest results. */
const SMOOTHING = 0.3;
/** Paces of steps that an agent has nothing of are kept until there are so many. */
const MAX_IDLE_PACES = 64;

export function paceKeyOf(job: number, stepName: string): string {
  return `${job} ${stepName}`;
}

export function noteGranted(paces: Paces, key: string, leases: number, nowMs: number): void {
  const pace = paces.get(key) ?? { open: 0, lastDoneMs: nowMs, runMs: undefined };
  paces.set(key, pace);
  if (pace.open === 0) pace.lastDoneMs = nowMs;
  pace.open += leases;
  if (paces.size > MAX_IDLE_PACES) forgetIdle(paces);
}

/** Units of the step ran for so long, on average, by the agent's own clock. */
export function noteRuns(paces: Paces, key: string, meanRunMs: number): void {
  const pace = paces.get(key);
  if (pace === undefined) return;
  const sampleMs = Math.max(0, meanRunMs);
  const before = pace.runMs ?? sampleMs;
  pace.runMs = before + SMOOTHING * (sampleMs - before);
}

/** Leases ended because their attempts did. */
export function noteDone(paces: Paces, key: string, leases: number, nowMs: number): void {
  const pace = paces.get(key);
  if (pace === undefined) return;
  pace.open = Math.max(0, pace.open - leases);
  pace.lastDoneMs = nowMs;
}

/** A lease ended that had not begun: an agent that stands still does so no less for handing it back. */
export function noteGivenBack(paces: Paces, key: string): void {
  const pace = paces.get(key);
  if (pace !== undefined) pace.open = Math.max(0, pace.open - 1);
}

/** Units a millisecond with so many at once; 0 when nothing is known. */
export function rateOf(pace: Pace | undefined, slots: number, nowMs: number): number {
  if (pace?.runMs === undefined || pace.open === 0) return 0;
  const rate = slots / Math.max(LEAST_RUN_MS, pace.runMs);
  const silentMs = nowMs - pace.lastDoneMs;
  return silentMs < STANDSTILL_MS ? rate : Math.min(rate, 1 / silentMs);
}

/** How many leases may wait at an agent of this rate. */
export function prefillDepth(ratePerMs: number): number {
  return Math.floor(PREFILL_MS * ratePerMs);
}

/** Whether units may wait at this agent at all. */
export function takesShortUnits(paces: Paces, nowMs: number): boolean {
  for (const pace of paces.values()) {
    // With as many at once as it has: the most it could be.
    if (prefillDepth(rateOf(pace, pace.open, nowMs)) > 0) return true;
  }
  return false;
}

function forgetIdle(paces: Paces): void {
  for (const [key, pace] of paces) if (pace.open === 0) paces.delete(key);
}
