/** One lease with everything that is needed to run it: what its step shares, and what is its own. */
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type {
  Demand,
  File,
  FileListSpace,
  Limits,
  OutputPattern,
} from '../proto/gen/furrow/v1/step.ts';
import type { ModelMemory } from '../proto/gen/furrow/v1/model.ts';
import type { Task } from '../proto/gen/furrow/v1/task.ts';
import type { LeaseRun, StepShare } from '../proto/gen/furrow/work/v1/work.ts';

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
  /** The blob that holds these inputs, when they are too many for a message. */
  readonly inputList?: File | undefined;
  /** The list of which the unit takes its part. */
  readonly fileList?: FileListSpace | undefined;
  readonly outputs: readonly OutputPattern[];
  /** What failed in the step that this one stands in for. */
  readonly because?: string | undefined;
  /** Another step does its step's work if it fails for good. */
  readonly hasStandIn?: boolean;
  readonly gpuIds: readonly string[];
  /** What an earlier attempt left to go on from: files of the checkpoint directory. */
  readonly checkpoint: readonly File[];
  /** What the model that it uses was seen to take on other agents, by provider. */
  readonly modelMemory: readonly ModelMemory[];
  /** The same for all that take turns: those of one demand and the same GPUs. */
  readonly slotKey: string;
}

export const NO_DEMAND: Demand = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
  tickets: {},
};

const NO_LIMITS: Limits = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 0 };

/** How many leases they say they are, before anything is made of them. */
export function leasesIn(shares: readonly StepShare[]): number {
  let count = 0;
  for (const { leases, runs } of shares) {
    count += leases.length;
    for (const run of runs) count += run.count;
  }
  return count;
}

/** A step's leases in their order. One without a token can be neither run nor refused: left out. */
export function assignmentsOf(share: StepShare): readonly Assignment[] {
  const demandKey = JSON.stringify(share.demand ?? NO_DEMAND);
  const assignments: Assignment[] = [];
  for (const lease of share.leases) {
    const { token, unit, attempt, value, item = null, gpuIds, checkpoint } = lease;
    if (token === undefined) continue;
    const own = { token, unit, attempt, value, item, gpuIds, checkpoint };
    assignments.push(assignmentOf(share, demandKey, own));
  }
  for (const run of share.runs) assignments.push(...assignmentsOfRun(share, demandKey, run));
  return assignments;
}

function assignmentsOfRun(share: StepShare, demandKey: string, run: LeaseRun): Assignment[] {
  const { firstToken, firstUnit, count, attempt, gpuIds } = run;
  if (firstToken === undefined) return [];
  const { epoch, counter } = firstToken;
  return Array.from({ length: count }, (_, offset) => {
    const token = { epoch, counter: counter + offset };
    const own = { token, unit: firstUnit + offset, attempt, value: '', item: null, gpuIds };
    return assignmentOf(share, demandKey, { ...own, checkpoint: [] });
  });
}

type OwnPart = Pick<
  Assignment,
  'token' | 'unit' | 'attempt' | 'value' | 'item' | 'gpuIds' | 'checkpoint'
>;

function assignmentOf(share: StepShare, demandKey: string, own: OwnPart): Assignment {
  const { token, unit, attempt, value, item, gpuIds, checkpoint } = own;
  return {
    token,
    jobId: share.jobId,
    step: share.step,
    unit,
    attempt,
    value,
    item,
    task: share.task ?? { kind: undefined },
    demand: share.demand ?? NO_DEMAND,
    limits: share.limits ?? NO_LIMITS,
    inputs: share.inputs,
    inputList: share.inputList,
    fileList: share.fileList,
    outputs: share.outputs,
    because: share.because,
    hasStandIn: share.hasStandIn,
    gpuIds,
    checkpoint,
    modelMemory: share.modelMemory,
    slotKey: gpuIds.length === 0 ? demandKey : `${demandKey} ${gpuIds.join(' ')}`,
  };
}
