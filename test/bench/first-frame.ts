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

/**
 * Of the step's first unit that an agent gets. One that was granted before anybody watched counts from the call: call
 * it as soon as the job is accepted. Returns when the unit is done; throws when it is not.
 */
export async function unitTimes(
  { client }: BenchFarm,
  jobId: string,
  step: string,
): Promise<UnitTimes> {
  const { jobs } = client;
  const request = { jobId, cursor: '', withoutAttempts: false };
  let unitId: string | undefined;
  let sinceMs = performance.now();
  let firstMs = NaN;
  for await (const { event } of client.stream(jobs.watchJob.bind(jobs), request)) {
    const nowMs = performance.now();
    switch (event?.$case) {
      case 'attempts':
        for (const attempt of event.value.events) {
          const { outcome } = attempt;
          if (!attempt.unitId.startsWith(`${jobId}/${step}/`)) continue;
          unitId ??= attempt.unitId;
          if (attempt.unitId !== unitId) continue;
          if (outcome === AttemptOutcome.ATTEMPT_OUTCOME_GRANTED) sinceMs = nowMs;
          if (outcome !== AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED) continue;
          return { firstMs: firstMs - sinceMs, heldMs: nowMs - sinceMs };
        }
        break;
      case 'progress': {
        const its = event.value.units.find(
          (unit) => unit.unitId.startsWith(`${jobId}/${step}/`) && unit.counter > 0,
        );
        if (its === undefined || !Number.isNaN(firstMs)) break;
        unitId ??= its.unitId;
        if (its.unitId === unitId) firstMs = nowMs;
        break;
      }
      default:
    }
  }
  throw new Error(`${unitId ?? step} was not done when its job ended`);
}
