/**
 * The farm: the fold of the journal and nothing else. `apply` is the only thing that changes it;
 * replay, standby, snapshot and simulator all use that, and end with equal farms.
 */
import type { AgentPolicy } from './agent-policy.ts';
import type { Archive } from './archive.ts';
import type { AccessToken, AgentKey } from './credentials.ts';
import { type Booking, NO_DEMAND } from './demand.ts';
import { unitsOfList, withListReader } from './file-lists.ts';
import { kindOfWork } from './kind-of-work.ts';
import { learnedDemand, type LearnedSize } from './learned-sizes.ts';
import type { ModelMemory } from './model-memory.ts';
import type { FarmModel } from './model.ts';
import { PartPool } from './part-pool.ts';
import { withProgram } from './programs.ts';
import type { Demand, FailureRule, File, Limits, ParameterKind, StepSpec } from './task.ts';
import type { SnapshotTaken } from './facts.ts';
import type { Token } from './token.ts';
import type { ReignRecord } from './lineage.ts';
import { ReadyIndex } from './ready-index.ts';
import type { Quota } from './set-quota.ts';
import type { Owner, Ticket } from './sharing.ts';
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
  /** On whose account; empty for nobody's. */
  readonly owner: string;
  /** Most units that agents hold at once; 0 for no limit. */
  readonly maxUnits: number;
  readonly steps: readonly StepRun[];
  readonly failures: FailureRule;
  /** Of eight parts of its known units so many are accepted, rounded down. */
  eighths: number;
  paused: boolean;
  /** True once a unit was leased. */
  started: boolean;
  end: { readonly state: JobEnd; readonly reason: string; readonly atMs: number } | undefined;
}

export interface StepRun {
  readonly index: number;
  readonly spec: StepSpec;
  /** What its units are given: what it declares, or more if units of its kind take more. */
  demand: Demand;
  readonly limits: Limits;
  classKey: string;
  /** The version of a tool that its units are done with; undefined while none is chosen, or need be. */
  pin: string | undefined;
  /** The kind of work, by which sizes are learned. */
  readonly kind: string;
  /** Steps that must be complete before this one starts. */
  readonly dependencies: readonly number[];
  /** Steps that wait for this one. */
  readonly dependents: readonly number[];
  /** The step that does this one's work if one of its units fails for good. */
  readonly standIn: number | undefined;
  /** Undefined while a fan-out does not know its number of units. */
  units: UnitTable | undefined;
  /** The fan-out's input of each unit; empty for other steps. */
  items: readonly File[];
  /** Roster numbers of the agents that made them. */
  makers: readonly number[];
}

/** What of a lease is written down. */
export interface LeaseRecord {
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

/** A lease in the book. */
export interface Lease extends LeaseRecord {
  readonly slot: Slot;
}

/**
 * The reservation of one class of units on one agent and its GPUs. Of the leases that it holds, `booked`
 * may run and are booked; the others wait for one of those to end, and book nothing.
 */
export interface Slot {
  readonly key: string;
  readonly classKey: string;
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
  /** Leases by owner of their jobs. */
  readonly heldBy: Map<string, number>;
  booked: number;
  held: number;
}

export interface AgentRecord {
  readonly id: string;
  /** From 1; what unit tables hold instead of the id. */
  readonly number: number;
  name: string;
  version: string;
  draining: boolean;
  /** Undefined: nothing was set. */
  policy: AgentPolicy | undefined;
  /** Undefined: it has not joined. */
  key: AgentKey | undefined;
  /** Unix time at which it was shut out; 0 when it is not. */
  revokedAtMs: number;
  readonly leases: Set<Token>;
  /** By key; none without leases. */
  readonly slots: Map<string, Slot>;
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
  readonly lapsed: Map<Token, LeaseRecord>;
  readonly agents: Map<string, AgentRecord>;
  readonly agentByNumber: AgentRecord[];
  readonly ready: ReadyIndex;
  /** Those whose share was set, and those with leases, by name. */
  readonly owners: Map<string, Owner>;
  /** By name. */
  readonly tickets: Map<string, Ticket>;
  /** By id. */
  readonly tokens: Map<string, AccessToken>;
  /** Of owners that have one, by name. */
  readonly quotas: Map<string, Quota>;
  /** Keys for NATS that are good for nothing any more, and since when, Unix time. */
  readonly shutOutKeys: Map<string, number>;
  /** By name, the one added longest ago first. */
  readonly models: Map<string, FarmModel>;
  /** Jobs that have left the memory. */
  archive: Archive;
  /** Who led, oldest first; none from before the farm's journal told of them. */
  readonly reigns: ReignRecord[];
  /** By kind of work, the one learned longest ago first. */
  readonly learned: Map<string, LearnedSize>;
  /** By model and provider, the one learned longest ago first. */
  readonly modelMemory: Map<string, ModelMemory>;
  /** Shared by the jobs. */
  readonly parts: PartPool;
  /** The snapshots that may be started from, oldest first. */
  snapshots: readonly SnapshotTaken[];
}

const NO_ITEMS: readonly File[] = [];
const NO_MAKERS: readonly number[] = [];

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
    owners: new Map(),
    tickets: new Map(),
    tokens: new Map(),
    shutOutKeys: new Map(),
    quotas: new Map(),
    models: new Map(),
    archive: [],
    reigns: [],
    learned: new Map(),
    modelMemory: new Map(),
    parts: new PartPool(),
    snapshots: [],
  };
}

/** What names their files: of so many steps of one job it is seldom equal to anything. */
const MANY_STEPS = 200;

export function newStepRuns(
  { parts, learned }: Pick<Farm, 'parts' | 'learned'>,
  recipe: string,
  specs: readonly StepSpec[],
): readonly StepRun[] {
  const { dependencies, dependents, standIns } = orderOf(specs);
  const isOneOfMany = specs.length >= MANY_STEPS;
  return specs.map((original, index): StepRun => {
    const spec = isOneOfMany ? parts.specOfMany(original) : parts.spec(original);
    const limits = parts.limits(spec.limits);
    const kind = parts.text(kindOfWork(recipe, spec));
    const { demand, classKey } = parts.size(learnedDemand(declaredDemand(spec), learned.get(kind)));
    // Every field by its name: what is spread takes more memory.
    return {
      index,
      spec,
      demand,
      limits,
      classKey,
      pin: undefined,
      kind,
      dependencies: isOneOfMany
        ? (dependencies[index] ?? [])
        : parts.numbers(dependencies[index] ?? []),
      dependents: isOneOfMany ? (dependents[index] ?? []) : parts.numbers(dependents[index] ?? []),
      standIn: standIns[index],
      units: undefined,
      items: NO_ITEMS,
      makers: NO_MAKERS,
    };
  });
}

/** What a step says that its units need, and what follows from its task and its inputs. */
export function declaredDemand(spec: StepSpec): Demand {
  const { demand = NO_DEMAND, task } = spec;
  return withListReader(withProgram(demand, task), spec);
}

interface StepOrder {
  /** By step, those that it waits for, in order. */
  readonly dependencies: readonly (readonly number[])[];
  /** By step, those that wait for it, in order. */
  readonly dependents: readonly (readonly number[])[];
  /** By step, the one that does its work if it is given up. */
  readonly standIns: readonly (number | undefined)[];
}

export function orderOf(specs: readonly StepSpec[]): StepOrder {
  const indexByName = new Map(specs.map((spec, index) => [spec.name, index]));
  const standIns = standInsOf(specs);
  const dependencies = specs.map((spec) => dependenciesOf(spec, indexByName, standIns));
  return {
    dependencies,
    dependents: dependentsOf(dependencies),
    standIns: specs.map(({ name }) => indexByName.get(standIns.get(name) ?? '')),
  };
}

function dependentsOf(dependencies: readonly (readonly number[])[]): readonly number[][] {
  const dependents = dependencies.map((): number[] => []);
  dependencies.forEach((of, index) => {
    for (const dependency of of) dependents[dependency]?.push(index);
  });
  return dependents;
}

/** By a step's name, that of the one that stands in for it. */
function standInsOf(specs: readonly StepSpec[]): ReadonlyMap<string, string> {
  return new Map(
    specs.flatMap(({ name, insteadOf }) => (insteadOf === undefined ? [] : [[insteadOf, name]])),
  );
}

/** Steps a spec waits for: those it names, those whose outputs it uses, and whoever stands in for one of these. */
function dependenciesOf(
  spec: StepSpec,
  indexByName: ReadonlyMap<string, number>,
  standIns: ReadonlyMap<string, string>,
): number[] {
  const names = new Set(spec.dependsOn);
  for (const input of spec.inputs) {
    if (input.kind?.$case === 'outputs') names.add(input.kind.value.step);
  }
  if (spec.parameters?.kind?.$case === 'forEach') names.add(spec.parameters.kind.value.step);
  for (const name of names) names.add(standIns.get(name) ?? name);
  if (spec.insteadOf !== undefined) names.add(spec.insteadOf);
  return [...names].flatMap((name) => indexByName.get(name) ?? []).toSorted((a, b) => a - b);
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
    case 'fileList':
      return unitsOfList(kind.value);
    case 'forEach':
      return undefined;
  }
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

export function unitIdOf(
  farm: Farm,
  { job, step, unit }: { readonly job: number; readonly step: number; readonly unit: number },
): string {
  return unitId(job, farm.jobs.get(job)?.steps[step]?.spec.name ?? '', unit);
}

export function slotKeyOf(classKey: string, gpuIds: readonly string[]): string {
  return gpuIds.length === 0 ? classKey : `${classKey} on ${gpuIds.join(' ')}`;
}
