/** One lease with everything that is needed to run it: what its step shares, and what is its own. */
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Demand, File, Limits, OutputPattern } from '../proto/gen/furrow/v1/step.ts';
import type { Task } from '../proto/gen/furrow/v1/task.ts';
import type { Grant, Lease, StepShare } from '../proto/gen/furrow/work/v1/work.ts';

export interface Assignment {
  readonly token: Token;
  readonly jobId: string;
  readonly step: string;
  readonly unit: number;
  readonly attempt: number;
  /** `{value}`; empty when the step has none. */
  readonly value: string;
  /** The fan-out input; null when the step has none. */
  readonly item: File | null;
  readonly task: Task;
  readonly demand: Demand;
  readonly limits: Limits;
  /** Inputs that every unit of the step gets; `item` is not among them. */
  readonly inputs: readonly File[];
  readonly outputs: readonly OutputPattern[];
  readonly gpuIds: readonly string[];
}

export const NO_DEMAND: Demand = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
};

const NO_LIMITS: Limits = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 0 };

/** The grant's leases in its order. A lease without a token can be neither run nor refused: left out. */
export function assignmentsOf(grant: Grant): readonly Assignment[] {
  return grant.steps.flatMap((share) =>
    share.leases.flatMap((lease) => {
      const assignment = assignmentOf(share, lease);
      return assignment === null ? [] : [assignment];
    }),
  );
}

function assignmentOf(share: StepShare, lease: Lease): Assignment | null {
  if (lease.token === undefined) return null;
  return {
    token: lease.token,
    jobId: share.jobId,
    step: share.step,
    unit: lease.unit,
    attempt: lease.attempt,
    value: lease.value,
    item: lease.item ?? null,
    task: share.task ?? { kind: undefined },
    demand: share.demand ?? NO_DEMAND,
    limits: share.limits ?? NO_LIMITS,
    inputs: share.inputs,
    outputs: share.outputs,
    gpuIds: lease.gpuIds,
  };
}
