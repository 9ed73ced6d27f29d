/**
 * How long a step's units ran, whoever ran them: soft, learned from the results that come. What is usual is
 * the middle one of the latest, so that neither one slow agent nor one odd unit moves it.
 */

/** Milliseconds by the agents' own clocks, oldest first, by job and step (`paceKeyOf`). */
export type StepTimes = Map<string, number[]>;

const LATEST = 31;
/** Fewer tell nothing. */
export const MIN_RESULTS = 3;

export function noteTime(times: StepTimes, key: string, runMs: number): void {
  const latest = times.get(key);
  if (latest === undefined) {
    times.set(key, [runMs]);
    return;
  }
  latest.push(runMs);
  if (latest.length > LATEST) latest.shift();
}

/** What a unit of the step usually takes; undefined while too few are done. */
export function usualRunMs(times: StepTimes, key: string): number | undefined {
  const latest = times.get(key);
  if (latest === undefined || latest.length < MIN_RESULTS) return undefined;
  return latest.toSorted((a, b) => a - b)[Math.floor(latest.length / 2)];
}
