/** Plans as the protocol has them. */
import type {
  JobPlan as WireJobPlan,
  StepPlan as WireStepPlan,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { JobPlan, PlannedTime, StepPlan } from '../domain/job-plan.ts';

export function planToWire({ steps, time }: JobPlan): WireJobPlan {
  return { steps: steps.map(stepToWire), ...timeToWire(time) };
}

function stepToWire({ units, unitMs, time, ...step }: StepPlan): WireStepPlan {
  return {
    ...step,
    known: units !== undefined,
    units: units ?? 0,
    unitMs: unitMs === undefined ? undefined : Math.round(unitMs),
    ...timeToWire(time),
  };
}

function timeToWire(time: PlannedTime): Pick<WireJobPlan, 'takesMs' | 'unknown'> {
  switch (time.state) {
    case 'known':
      return { takesMs: Math.round(time.takesMs), unknown: '' };
    case 'unknown':
      return { takesMs: undefined, unknown: time.reason };
  }
}
