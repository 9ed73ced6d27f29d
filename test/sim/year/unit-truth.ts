/**
 * What units of a simulated year are really like, whatever their steps demand: how long they run, what
 * memory they take, and the few that can never succeed.
 */
import { NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import type { Demand, StepSpec } from '../../../coordinator/domain/task.ts';
import { Prng } from '../prng.ts';

/** `fails`: its program ends with an error; `crashes`: it takes the whole machine with it. */
export type Poison = 'fails' | 'crashes';

export interface UnitTruth {
  /** On a machine of speed 1. */
  readonly runMs: number;
  readonly ramBytes: number;
  /** On each of its GPUs. */
  readonly vramBytes: number;
  readonly poison: Poison | undefined;
  readonly outputs: number;
}

export interface StepTruth {
  readonly spec: StepSpec;
  /** For people: units of one kind are measured together. */
  readonly kind: string;
  readonly leastRunMs: number;
  readonly mostRunMs: number;
  /** How many files each unit leaves: the units of a fan-out. */
  readonly outputs: number;
}

/** What is known of a job by whoever made it up. */
export interface JobTruth {
  readonly clientId: string;
  readonly seed: number;
  readonly steps: readonly StepTruth[];
}

const POISON_SHARE = 1 / 2_500;
/** Its step demands less memory than it takes. */
const UNDERSTATED_SHARE = 0.004;

/** The same answer each time it is asked. */
export function truthOf(job: JobTruth, step: StepTruth, unit: number): UnitTruth {
  const prng = new Prng(job.seed + job.steps.indexOf(step) * 1_000_003 + unit * 7_919);
  const { ramBytes, vramBytes } = demandOf(step);
  const understated = prng.chance(UNDERSTATED_SHARE) ? prng.between(1.1, 1.6) : 0;
  return {
    runMs: prng.longTailed(step.leastRunMs, step.mostRunMs),
    ramBytes: ramBytes * (understated || prng.between(0.4, 0.95)),
    vramBytes: vramBytes * (understated || prng.between(0.5, 0.95)),
    poison: prng.chance(POISON_SHARE) ? prng.pick(['fails', 'crashes']) : undefined,
    outputs: step.outputs,
  };
}

export function demandOf({ spec }: StepTruth): Demand {
  return spec.demand ?? NO_DEMAND;
}
