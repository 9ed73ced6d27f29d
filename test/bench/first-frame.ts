/**
 * How soon a unit that runs a model has its first frame: from its grant to the first progress that a watcher sees.
 * Agents tell progress twice a second, so that the figure is late by a quarter of a second on average.
 */
import { AttemptOutcome } from '../../proto/gen/furrow/v1/job_service.ts';
import type { BenchFarm } from './bench-farm.ts';

export interface UnitTimes {
  /** To its first frame; NaN when it was over before anybody was told of one. */
  readonly firstMs: number;
  /** To its result. */
  readonly heldMs: number;
}

/** Of the step's first unit that an agent gets. Returns when the unit is done; throws when it is not. */
export async function unitTimes(
  { client }: BenchFarm,
  jobId: string,
  step: string,
): Promise<UnitTimes> {
  const { jobs } = client;
  const request = { jobId, cursor: '', withoutAttempts: false };
  let unitId: string | undefined;
  let sinceMs = NaN;
  let firstMs = NaN;
  for await (const { event } of client.stream(jobs.watchJob.bind(jobs), request)) {
    const nowMs = performance.now();
    switch (event?.$case) {
      case 'attempts':
        for (const attempt of event.value.events) {
          if (!attempt.unitId.startsWith(`${jobId}/${step}/`)) continue;
          if (attempt.outcome === AttemptOutcome.ATTEMPT_OUTCOME_GRANTED && unitId === undefined) {
            ({ unitId } = attempt);
            sinceMs = nowMs;
          } else if (attempt.unitId === unitId) {
            if (attempt.outcome !== AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED) break;
            return { firstMs: firstMs - sinceMs, heldMs: nowMs - sinceMs };
          }
        }
        break;
      case 'progress': {
        const its = event.value.units.find((unit) => unit.unitId === unitId && unit.counter > 0);
        if (its !== undefined && Number.isNaN(firstMs)) firstMs = nowMs;
        break;
      }
      default:
    }
  }
  throw new Error(`${unitId ?? step} was not done when its job ended`);
}
