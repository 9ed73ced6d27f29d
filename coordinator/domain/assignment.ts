/** What an agent must be told to run units of a step: their files by content, resolved. */
import { outputsOf } from './fan-out.ts';
import { fileListOf } from './file-lists.ts';
import { stepOf } from './find.ts';
import type { LeasesGranted } from './facts.ts';
import type { Farm, Job, LeaseRecord, StepRun } from './farm.ts';
import { jobId } from './farm.ts';
import { whyInstead } from './stand-in-words.ts';
import { producerOf } from './stand-ins.ts';
import type { Demand, File, StepSpec } from './task.ts';
import type { Token } from './token.ts';

/** Leases to hand to one agent in one message. */
export interface GrantOrder {
  readonly agentId: string;
  readonly session: string;
  readonly number: number;
  readonly steps: readonly GrantedStep[];
}

/** A grant, and how many leases of its class and GPUs the agent may run at once from then on. */
export interface RecordedGrant {
  readonly fact: LeasesGranted;
  readonly slots: number;
}

export interface GrantedStep {
  readonly jobId: string;
  readonly spec: StepSpec;
  /** What each of the units is given. */
  readonly demand: Demand;
  /** Limits with the farm's defaults. */
  readonly limits: StepRun['limits'];
  readonly inputs: readonly File[];
  /** Leases of this demand and these GPUs that the agent may run at once. */
  readonly slots: number;
  readonly leases: readonly GrantedLease[];
  /** What failed in the step that this one stands in for, in one line. */
  readonly because: string | undefined;
  readonly hasStandIn: boolean;
}

export interface GrantedLease {
  readonly token: Token;
  readonly unit: number;
  readonly attempt: number;
  readonly value: string;
  readonly item: File | undefined;
  readonly gpuIds: readonly string[];
  /** What an earlier attempt left to go on from. */
  readonly checkpoint: readonly File[];
}

const NO_FILES: readonly File[] = [];

/** The messages that carry these grants; leases that ended meanwhile are left out. */
export function grantOrders(farm: Farm, grants: readonly RecordedGrant[]): GrantOrder[] {
  const orders = new Map<string, GrantOrder & { readonly steps: GrantedStep[] }>();
  for (const { fact, slots } of grants) {
    const granted = grantedStep(farm, fact, slots);
    if (granted === undefined) continue;
    const { agentId, session, grantNumber } = fact;
    const key = `${agentId} ${session} ${grantNumber}`;
    const order = orders.get(key) ?? { agentId, session, number: grantNumber, steps: [] };
    orders.set(key, order);
    order.steps.push(granted);
  }
  return [...orders.values()];
}

/** Right after the grant was applied: what the agent's slot books. */
export function slotsBooked(farm: Farm, { firstToken }: LeasesGranted): number {
  return farm.leases.get(firstToken)?.slot.booked ?? 0;
}

function grantedStep(farm: Farm, fact: LeasesGranted, slots: number): GrantedStep | undefined {
  const job = farm.jobs.get(fact.job);
  // Cancelled and removed before its grant was on disk.
  if (job === undefined) return undefined;
  const step = stepOf(farm, fact.job, fact.step);
  const leases: GrantedLease[] = [];
  let demand = step.demand;
  fact.units.forEach((unit, offset) => {
    const lease = farm.leases.get((fact.firstToken + offset) as Token);
    if (lease === undefined) return;
    const { token, attempt, gpuIds } = lease;
    // The same for all of one grant.
    demand = lease.slot.demand;
    const value = valueOf(step, unit);
    const item = step.items[unit];
    const checkpoint = step.units?.checkpoints.get(unit) ?? NO_FILES;
    leases.push({ token, unit, attempt, value, item, gpuIds, checkpoint });
  });
  if (leases.length === 0) return undefined;
  return {
    jobId: jobId(job.number),
    spec: step.spec,
    demand,
    limits: step.limits,
    inputs: commonInputs(job, step),
    slots,
    leases,
    because: whyInstead(job, step),
    hasStandIn: step.standIn !== undefined,
  };
}

/** SHA-256 of every file that a job's steps name, each once; lists too, but not what stands in them. */
export function inputBlobs(steps: readonly StepSpec[]): string[] {
  const hashes = steps.flatMap((step) => [
    ...step.inputs.flatMap(({ kind }) => (kind?.$case === 'file' ? [kind.value.sha256] : [])),
    ...listHashes(step),
  ]);
  return [...new Set(hashes)];
}

function listHashes(step: StepSpec): readonly string[] {
  const list = fileListOf(step)?.list;
  return list === undefined ? [] : [list.sha256];
}

/** By step: what it is given grows only when another unit of its producers is accepted. */
const commonHashes = new WeakMap<StepRun, { hashes: ReadonlySet<string>; accepted: number }>();

/** SHA-256 of every file that the lease's unit is given; of a list itself, but not of the unit's part of it. */
export function leaseInputs(farm: Farm, lease: LeaseRecord): ReadonlySet<string> {
  const job = farm.jobs.get(lease.job);
  const step = job?.steps[lease.step];
  if (job === undefined || step === undefined) return new Set();
  const common = commonHashesOf(job, step);
  const own = [step.items[lease.unit], ...(step.units?.checkpoints.get(lease.unit) ?? NO_FILES)];
  const hashes = own.flatMap((file) => (file === undefined ? [] : [file.sha256]));
  return hashes.length === 0 ? common : new Set([...common, ...hashes]);
}

function commonHashesOf(job: Job, step: StepRun): ReadonlySet<string> {
  const accepted = step.dependencies.reduce(
    (sum, index) => sum + (job.steps[index]?.units?.counts.accepted ?? 0),
    0,
  );
  const known = commonHashes.get(step);
  if (known?.accepted === accepted) return known.hashes;
  const list = fileListOf(step.spec)?.list;
  const hashes = new Set([...commonInputs(job, step), ...(list ? [list] : [])].map(hashOf));
  commonHashes.set(step, { hashes, accepted });
  return hashes;
}

const hashOf = ({ sha256 }: File): string => sha256;

/** Files that every unit of the step is given. */
function commonInputs(job: Job, step: StepRun): File[] {
  return step.spec.inputs.flatMap((input): readonly File[] => {
    switch (input.kind?.$case) {
      case 'file':
        return [input.kind.value];
      case 'outputs': {
        const { step: name, pattern } = input.kind.value;
        const producer = producerOf(job, name);
        return producer === undefined ? [] : withUniqueNames(producer, pattern);
      }
      default:
        return [];
    }
  });
}

/** `{value}` of a unit; empty when the step has none. */
function valueOf(step: StepRun, unit: number): string {
  const kind = step.spec.parameters?.kind;
  return kind?.$case === 'values' ? (kind.value.values[unit] ?? '') : '';
}

/**
 * Outputs under their own names. Where several units left files of one name, all get their unit's
 * number in front, so that none hides another.
 */
function withUniqueNames(producer: StepRun, pattern: string): File[] {
  const files = outputsOf(producer, pattern);
  if (new Set(files.map((file) => file.name)).size === files.length) return files;
  const outputs = [...(producer.units?.outputs ?? [])].toSorted(([a], [b]) => a - b);
  const matching = new Set(files);
  return outputs.flatMap(([unit, left]) =>
    left
      .filter((file) => matching.has(file))
      .map((file) => ({ ...file, name: prefixed(file.name, unit) })),
  );
}

function prefixed(name: string, unit: number): string {
  const slash = name.lastIndexOf('/') + 1;
  return `${name.slice(0, slash)}${String(unit).padStart(5, '0')}-${name.slice(slash)}`;
}
