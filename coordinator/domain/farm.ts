/**
 * The farm: the fold of the journal and nothing else. `apply` is the only thing that changes it;
 * replay, standby, snapshot and simulator all use that, and end with equal farms.
 */
import { type Booking, classKeyOf, NO_DEMAND } from './demand.ts';
import type { Demand, File, Limits, ParameterKind, StepSpec } from './task.ts';
import type { SnapshotTaken } from './facts.ts';
import type { Token } from './token.ts';
import { ReadyIndex } from './ready-index.ts';
import type { UnitTable } from './unit-table.ts';

export type JobEnd = 'succeeded' | 'failed' | 'cancelled';

export interface Job {
  /** n of the id `j<n>`. */
  readonly number: number;
  readonly clientId: string;
  readonly requestHash: string;
  readonly name: string;
  readonly priority: number;
  readonly recipe: string;
  readonly submittedAtMs: number;
  readonly steps: readonly StepRun[];
  paused: boolean;
  /** True once a unit was leased. */
  started: boolean;
  end: { readonly state: JobEnd; readonly reason: string; readonly atMs: number } | undefined;
}

export interface StepRun {
  readonly index: number;
  readonly spec: StepSpec;
  readonly demand: Demand;
  readonly limits: Limits;
  readonly classKey: string;
  /** Steps that must be complete before this one starts. */
  readonly dependencies: readonly number[];
  /** Steps that wait for this one. */
  readonly dependents: readonly number[];
  /** Undefined while a fan-out does not know its number of units. */
  units: UnitTable | undefined;
  /** The fan-out's input of each unit; empty for other steps. */
  items: readonly File[];
}

export interface Lease {
  readonly token: Token;
  readonly job: number;
  readonly step: number;
  readonly unit: number;
  readonly attempt: number;
  readonly agentId: string;
  readonly session: string;
  /** 0 for a lease that was resumed: its grant is known to have been handled. */
  readonly grantNumber: number;
  readonly gpuIds: readonly string[];
}

export interface AgentRecord {
  readonly id: string;
  /** From 1; what unit tables hold instead of the id. */
  readonly number: number;
  name: string;
  version: string;
  draining: boolean;
  readonly leases: Set<Token>;
  /** What its leases book. */
  readonly booking: Booking;
}

export interface Farm {
  farmId: string;
  epoch: number;
  /** Counter of the token granted last in this epoch. */
  lastCounter: number;
  lastJob: number;
  readonly jobs: Map<number, Job>;
  readonly jobByClientId: Map<string, number>;
  readonly leases: Map<Token, Lease>;
  /**
   * Leases that expired while no other was granted for their unit: their tokens are still current, a
   * late result still wins, and an agent that comes back goes on with them.
   */
  readonly lapsed: Map<Token, Lease>;
  readonly agents: Map<string, AgentRecord>;
  readonly agentByNumber: AgentRecord[];
  readonly ready: ReadyIndex;
  /** The snapshots that may be started from, oldest first. */
  snapshots: readonly SnapshotTaken[];
}

export function emptyFarm(): Farm {
  return {
    farmId: '',
    epoch: 0,
    lastCounter: 0,
    lastJob: 0,
    jobs: new Map(),
    jobByClientId: new Map(),
    leases: new Map(),
    lapsed: new Map(),
    agents: new Map(),
    agentByNumber: [],
    ready: new ReadyIndex(),
    snapshots: [],
  };
}

/** Farm-wide defaults for what a step leaves open. */
const DEFAULT_LIMITS: Limits = { maxAttempts: 3, runTimeoutMs: 0, stallTimeoutMs: 120_000 };

export function newStepRuns(specs: readonly StepSpec[]): StepRun[] {
  const indexByName = new Map(specs.map((spec, index) => [spec.name, index]));
  const dependencies = specs.map((spec) => dependenciesOf(spec, indexByName));
  return specs.map((spec, index) => {
    const demand = spec.demand ?? NO_DEMAND;
    return {
      index,
      spec,
      demand,
      limits: withDefaults(spec.limits),
      classKey: classKeyOf(demand),
      dependencies: dependencies[index] ?? [],
      dependents: dependencies.flatMap((of, other) => (of.includes(index) ? [other] : [])),
      units: undefined,
      items: [],
    };
  });
}

/** Steps a spec waits for: those it names, and those whose outputs it uses. */
function dependenciesOf(spec: StepSpec, indexByName: ReadonlyMap<string, number>): number[] {
  const names = new Set(spec.dependsOn);
  for (const input of spec.inputs) {
    if (input.kind?.$case === 'outputs') names.add(input.kind.value.step);
  }
  if (spec.parameters?.kind?.$case === 'forEach') names.add(spec.parameters.kind.value.step);
  return [...names].flatMap((name) => indexByName.get(name) ?? []).toSorted((a, b) => a - b);
}

function withDefaults(limits: Limits | undefined): Limits {
  return {
    maxAttempts: limits?.maxAttempts || DEFAULT_LIMITS.maxAttempts,
    runTimeoutMs: limits?.runTimeoutMs || DEFAULT_LIMITS.runTimeoutMs,
    stallTimeoutMs: limits?.stallTimeoutMs || DEFAULT_LIMITS.stallTimeoutMs,
  };
}

/** Units of a step that is not a fan-out. */
export function fixedUnitCount(kind: ParameterKind | undefined): number | undefined {
  switch (kind?.$case) {
    case undefined:
      return 1;
    case 'count':
      return kind.value;
    case 'values':
      return kind.value.values.length;
    case 'forEach':
      return undefined;
  }
}

export function isComplete(step: StepRun): boolean {
  return step.units !== undefined && step.units.counts.accepted === step.units.size;
}

/** Whether the step's queued units may start. */
export function isUnblocked(job: Job, step: StepRun): boolean {
  return step.dependencies.every((index) => {
    const dependency = job.steps[index];
    return dependency !== undefined && isComplete(dependency);
  });
}

export function jobId(number: number): string {
  return `j${number}`;
}

/** The job's number, or undefined when the text is no job id. */
export function jobNumberOf(id: string): number | undefined {
  const match = /^j([1-9][0-9]{0,9})$/.exec(id);
  return match === null ? undefined : Number(match[1]);
}

export function unitId(job: number, step: string, unit: number): string {
  return `${jobId(job)}/${step}/${unit}`;
}
