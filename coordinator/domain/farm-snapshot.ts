/**
 * A farm taken apart and put together again without its history. What can be derived is derived:
 * bookings from leases, the ready index from queues, fan-out inputs from outputs. The farm that comes
 * back has the same image as the one that went in, byte for byte.
 */
import type { AgentPolicy } from './agent-policy.ts';
import type { Archive } from './archive.ts';
import { resize } from './apply.ts';
import { fillItems } from './fan-out.ts';
import { stepOf, unitsOf } from './find.ts';
import { addLease, enlistAgent } from './lease-book.ts';
import { eighthsOf, refreshReady } from './ready-steps.ts';
import type { AccessToken, AgentKey } from './credentials.ts';
import {
  emptyFarm,
  type Farm,
  type Job,
  type LeaseRecord,
  newStepRuns,
  type Slot,
} from './farm.ts';
import type { SnapshotTaken, UnitOutputs } from './facts.ts';
import type { LearnedSize } from './learned-sizes.ts';
import type { ReignRecord } from './lineage.ts';
import type { FarmModel } from './model.ts';
import { keepMemories, type ModelMemory } from './model-memory.ts';
import { isSetOwner, type Owner, setOwner, setTickets, type Ticket } from './sharing.ts';
import { type Quota, setQuota } from './set-quota.ts';
import { type Growth, sizeOf, sizeOfUnit, withMemory } from './size.ts';
import type { FailureRule, StepSpec } from './task.ts';
import type { ColumnArrays } from './unit-columns.ts';
import { type DelayedUnit, type UnitFailure, UnitTable } from './unit-table.ts';

export interface FarmSnapshot {
  readonly farmId: string;
  readonly epoch: number;
  readonly lastCounter: number;
  readonly lastJob: number;
  readonly agents: readonly AgentSnapshot[];
  readonly jobs: readonly JobSnapshot[];
  readonly leases: readonly LeaseSnapshot[];
  readonly lapsed: readonly LeaseRecord[];
  readonly reigns: readonly ReignRecord[];
  readonly snapshots: readonly SnapshotTaken[];
  readonly learned: readonly LearnedSize[];
  readonly modelMemory: readonly ModelMemory[];
  readonly archive: Archive;
  readonly tickets: readonly TicketSnapshot[];
  readonly owners: readonly OwnerSnapshot[];
  readonly tokens: readonly AccessToken[];
  readonly quotas: readonly (Quota & { readonly name: string })[];
  readonly models: readonly FarmModel[];
  readonly shutOutKeys: readonly { readonly natsPublicKey: string; readonly atMs: number }[];
}

export type TicketSnapshot = Pick<Ticket, 'name' | 'limit'>;

/** One whose share was set. */
export type OwnerSnapshot = Pick<Owner, 'name' | 'weight' | 'maxUnits'>;

export interface AgentSnapshot {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly draining: boolean;
  readonly policy: AgentPolicy | undefined;
  readonly key: AgentKey | undefined;
  readonly revokedAtMs: number;
}

/** Which leases of a slot wait is the same for all that it means: the last of them, here. */
export interface LeaseSnapshot extends LeaseRecord {
  readonly waiting: boolean;
  /** The memory that it books, where its unit would book another amount today. */
  readonly booked: Growth | undefined;
}

/** How far it is follows from its units. */
export interface JobSnapshot extends Omit<Job, 'steps' | 'failures' | 'eighths'> {
  /** Undefined in snapshots of earlier versions. */
  readonly failures?: FailureRule | undefined;
  readonly steps: readonly StepSnapshot[];
}

export interface StepSnapshot {
  readonly spec: StepSpec;
  /** Undefined while a fan-out does not know its number of units. */
  readonly units: UnitsSnapshot | undefined;
  readonly pin?: string | undefined;
}

export interface UnitsSnapshot {
  readonly size: number;
  readonly front: readonly number[];
  readonly delayed: readonly DelayedUnit[];
  readonly back: readonly number[];
  readonly fresh: number;
  readonly lostAttempts: number;
  readonly columns: ColumnArrays;
  readonly outputs: readonly UnitOutputs[];
  readonly failures: readonly (UnitFailure & { readonly unit: number })[];
  readonly losses: readonly { readonly unit: number; readonly agentIds: readonly string[] }[];
  readonly growths: readonly (Growth & { readonly unit: number })[];
  readonly checkpoints: readonly UnitOutputs[];
}

/** The farm's parts. They share its columns: write them down before the farm changes. */
export function captureFarm(farm: Farm): FarmSnapshot {
  return {
    farmId: farm.farmId,
    epoch: farm.epoch,
    lastCounter: farm.lastCounter,
    lastJob: farm.lastJob,
    agents: farm.agentByNumber.map((agent) => {
      const { id, name, version, draining, policy, key, revokedAtMs } = agent;
      return { id, name, version, draining, policy, key, revokedAtMs };
    }),
    jobs: [...farm.jobs.values()].map(captureJob),
    leases: captureLeases(farm),
    lapsed: [...farm.lapsed.values()],
    reigns: farm.reigns,
    snapshots: farm.snapshots,
    learned: [...farm.learned.values()],
    modelMemory: [...farm.modelMemory.values()],
    archive: farm.archive,
    tickets: [...farm.tickets.values()].map(({ name, limit }) => ({ name, limit })),
    owners: [...farm.owners.values()].filter(isSetOwner).map(({ name, weight, maxUnits }) => {
      return { name, weight, maxUnits };
    }),
    tokens: [...farm.tokens.values()],
    quotas: [...farm.quotas].map(([name, quota]) => ({ name, ...quota })),
    models: [...farm.models.values()],
    shutOutKeys: [...farm.shutOutKeys].map(([natsPublicKey, atMs]) => ({ natsPublicKey, atMs })),
  };
}

function captureLeases(farm: Farm): LeaseSnapshot[] {
  const seen = new Map<Slot, number>();
  return [...farm.leases.values()].map(({ slot, ...record }) => {
    const before = seen.get(slot) ?? 0;
    seen.set(slot, before + 1);
    const { ramBytes, vramBytes } = slot.demand;
    const today = sizeOfUnit(stepOf(farm, record.job, record.step), record.unit);
    const booked = slot.classKey === today.classKey ? undefined : { ramBytes, vramBytes };
    return { ...record, waiting: before >= slot.booked, booked };
  });
}

/** A job's parts. They share its columns: write them down before it changes. */
export function captureJob(job: Job): JobSnapshot {
  const steps = job.steps.map(({ spec, units, pin }) => ({
    spec,
    units: units && captureUnits(units),
    pin,
  }));
  return { ...job, steps };
}

function captureUnits(units: UnitTable): UnitsSnapshot {
  const { size, front, delayed, back, fresh, lostAttempts } = units;
  return {
    size,
    front,
    delayed,
    back,
    fresh,
    lostAttempts,
    columns: units.columns(),
    outputs: [...units.outputs].map(([unit, files]) => ({ unit, files })),
    failures: [...units.failures].map(([unit, failure]) => ({ unit, ...failure })),
    losses: [...units.lostOn].map(([unit, agentIds]) => ({ unit, agentIds })),
    growths: [...units.growths].map(([unit, growth]) => ({ unit, ...growth })),
    checkpoints: [...units.checkpoints].map(([unit, files]) => ({ unit, files })),
  };
}

/** The farm that was captured. */
export function restoreFarm(snapshot: FarmSnapshot): Farm {
  const farm = emptyFarm();
  farm.farmId = snapshot.farmId;
  farm.epoch = snapshot.epoch;
  farm.lastCounter = snapshot.lastCounter;
  farm.lastJob = snapshot.lastJob;
  farm.reigns.push(...snapshot.reigns);
  farm.snapshots = snapshot.snapshots;
  farm.archive = snapshot.archive;
  for (const size of snapshot.learned) farm.learned.set(size.kind, size);
  keepMemories(farm.modelMemory, snapshot.modelMemory);
  for (const { name, limit } of snapshot.tickets) setTickets(farm, name, limit);
  for (const { name, weight, maxUnits } of snapshot.owners) {
    setOwner(farm, farm.parts.text(name), weight, maxUnits);
  }
  for (const { id, ...set } of snapshot.agents) Object.assign(enlistAgent(farm, id), set);
  for (const token of snapshot.tokens) farm.tokens.set(token.id, token);
  for (const { name, ...quota } of snapshot.quotas) setQuota(farm, name, quota);
  for (const model of snapshot.models) farm.models.set(model.name, model);
  for (const { natsPublicKey, atMs } of snapshot.shutOutKeys) {
    farm.shutOutKeys.set(natsPublicKey, atMs);
  }
  for (const job of snapshot.jobs) restoreJob(farm, job);
  for (const lease of snapshot.leases) restoreLease(farm, lease);
  for (const lease of snapshot.lapsed) farm.lapsed.set(lease.token, lease);
  return farm;
}

/** A lease whose token is not its unit's in the table is the unit's second. */
function restoreLease(farm: Farm, { waiting, booked, ...record }: LeaseSnapshot): void {
  const { token, unit, agentId } = record;
  const step = stepOf(farm, record.job, record.step);
  const units = unitsOf(step);
  const isCopy = units.tokenOf(unit) !== token;
  if (isCopy) units.restoreCopy(unit, { token, agent: enlistAgent(farm, agentId).number });
  const size =
    booked === undefined ? sizeOfUnit(step, unit) : sizeOf(withMemory(step.demand, booked));
  addLease(farm, size, record, waiting ? 'waiting' : 'running');
}

function restoreJob(farm: Farm, snapshot: JobSnapshot): void {
  const job = jobFrom(farm, snapshot);
  farm.jobs.set(job.number, job);
  farm.jobByClientId.set(job.clientId, job.number);
  for (const step of job.steps) {
    if (step.pin !== undefined) resize(farm, job, step);
    refreshReady(farm, job, step);
  }
}

/** The job that was captured, in no farm. */
export function jobFrom(farm: Pick<Farm, 'parts' | 'learned'>, snapshot: JobSnapshot): Job {
  const { parts } = farm;
  const steps = newStepRuns(
    farm,
    snapshot.recipe,
    snapshot.steps.map((step) => step.spec),
  );
  const { number, clientId, requestHash, name, priority, recipe, submittedAtMs } = snapshot;
  const { owner, maxUnits, paused, started, end } = snapshot;
  const job: Job = {
    number,
    clientId,
    requestHash,
    name: parts.text(name),
    priority,
    recipe: parts.text(recipe),
    submittedAtMs,
    owner: parts.text(owner),
    maxUnits,
    steps,
    failures: parts.failures(snapshot.failures),
    eighths: 0,
    paused,
    started,
    end,
  };
  steps.forEach((step, index) => {
    step.pin = snapshot.steps[index]?.pin;
    const units = snapshot.steps[index]?.units;
    if (units !== undefined) step.units = restoreUnits(units);
  });
  job.eighths = eighthsOf(steps);
  for (const step of steps) if (step.units !== undefined) fillItems(job, step);
  return job;
}

function restoreUnits(snapshot: UnitsSnapshot): UnitTable {
  const { size, columns, front, delayed, back, fresh, lostAttempts } = snapshot;
  const aside = {
    front: [...front],
    delayed: [...delayed],
    back: [...back],
    outputs: new Map(snapshot.outputs.map(({ unit, files }) => [unit, files])),
    failures: new Map(snapshot.failures.map(({ unit, ...failure }) => [unit, failure])),
    lostOn: new Map(snapshot.losses.map(({ unit, agentIds }) => [unit, agentIds])),
    growths: new Map(
      snapshot.growths.map(({ unit, ramBytes, vramBytes }) => [unit, { ramBytes, vramBytes }]),
    ),
    checkpoints: new Map(snapshot.checkpoints.map(({ unit, files }) => [unit, files])),
  };
  return UnitTable.restore(size, columns, aside, { fresh, lostAttempts });
}
