/** Grants for tests: the least that is a valid one. */
import type { Result, StepShare } from '../../proto/gen/furrow/work/v1/work.ts';
import { Demand, Limits } from '../../proto/gen/furrow/v1/step.ts';

export type ShareOptions = Partial<Omit<StepShare, 'leases'>> & {
  /** Counters of the tokens, epoch 1; one lease each. */
  readonly counters: readonly number[];
};

export function stepShare({ counters, ...options }: ShareOptions): StepShare {
  return {
    jobId: 'j1',
    step: 'work',
    task: { kind: { $case: 'noop', value: {} } },
    demand: Demand.fromPartial({}),
    limits: Limits.fromPartial({}),
    inputs: [],
    outputs: [],
    // As many at once as fit.
    slots: 1_000,
    runs: [],
    modelMemory: [],
    hasStandIn: false,
    ...options,
    leases: counters.map((counter, index) => ({
      token: { epoch: 1, counter },
      unit: index,
      attempt: 1,
      value: '',
      item: undefined,
      gpuIds: [],
      checkpoint: [],
    })),
  };
}

export function commandShare(argv: readonly string[], options: ShareOptions): StepShare {
  const task = { kind: { $case: 'command', value: { argv, environment: {} } } } as const;
  return stepShare({ task, ...options });
}

/** A success without outputs, token (1, counter). */
export function resultOf(counter: number): Result {
  return {
    token: { epoch: 1, counter },
    jobId: 'j1',
    step: 'work',
    unit: 0,
    outcome: { $case: 'success', value: { outputs: [] } },
    startedAtMs: 1,
    endedAtMs: 2,
    peakRamBytes: 0,
  };
}
