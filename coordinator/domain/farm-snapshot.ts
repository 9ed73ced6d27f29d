/**
 * A farm taken apart and put together again without its history. What can be derived is derived:
 * bookings from leases, the ready index from queues, fan-out inputs from outputs. The farm that comes
 * back has the same image as the one that went in, byte for byte.
 */
import { addLease, enlistAgent, fanOutItems, refreshReady, stepOf } from './apply.ts';
import { emptyFarm, type Farm, type Job, type Lease, newStepRuns } from './farm.ts';
import type { SnapshotTaken, UnitOutputs } from './facts.ts';
import type { StepSpec } from './task.ts';
import { type DelayedUnit, type UnitColumns, type UnitFailure, UnitTable } from './unit-table.ts';

export interface FarmSnapshot {
  readonly farmId: string;
  readonly epoch: number;
  readonly lastCounter: number;
  readonly lastJob: number;
  readonly agents: readonly AgentSnapshot[];
  readonly jobs: readonly JobSnapshot[];
  readonly leases: readonly Lease[];
  readonly lapsed: readonly Lease[];
  readonly snapshots: readonly SnapshotTaken[];
}

export interface AgentSnapshot {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly draining: boolean;
}

export interface JobSnapshot extends Omit<Job, 'steps'> {
  readonly steps: readonly StepSnapshot[];
}

export interface StepSnapshot {
  readonly spec: StepSpec;
  /** Undefined while a fan-out does not know its number of units. */
  readonly units: UnitsSnapshot | undefined;
}

export interface UnitsSnapshot {
  readonly size: number;
  readonly front: readonly number[];
  readonly delayed: readonly DelayedUnit[];
  readonly back: readonly number[];
  readonly fresh: number;
  readonly lostAttempts: number;
  readonly columns: UnitColumns;
  readonly outputs: readonly UnitOutputs[];
  readonly failures: readonly (UnitFailure & { readonly unit: number })[];
  readonly losses: readonly { readonly unit: number; readonly agentIds: readonly string[] }[];
}

/** The farm's parts. They share its columns: write them down before the farm changes. */
export function captureFarm(farm: Farm): FarmSnapshot {
  return {
    farmId: farm.farmId,
    epoch: farm.epoch,
    lastCounter: farm.lastCounter,
    lastJob: farm.lastJob,
    agents: farm.agentByNumber.map(({ id, name, version, draining }) => {
      return { id, name, version, draining };
    }),
    jobs: [...farm.jobs.values()].map((job) => ({
      ...job,
      steps: job.steps.map(({ spec, units }) => ({ spec, units: units && captureUnits(units) })),
    })),
    leases: [...farm.leases.values()],
    lapsed: [...farm.lapsed.values()],
    snapshots: farm.snapshots,
  };
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
  };
}

/** The farm that was captured. */
export function restoreFarm(snapshot: FarmSnapshot): Farm {
  const farm = emptyFarm();
  farm.farmId = snapshot.farmId;
  farm.epoch = snapshot.epoch;
  farm.lastCounter = snapshot.lastCounter;
  farm.lastJob = snapshot.lastJob;
  farm.snapshots = snapshot.snapshots;
  for (const { id, name, version, draining } of snapshot.agents) {
    Object.assign(enlistAgent(farm, id), { name, version, draining });
  }
  for (const job of snapshot.jobs) restoreJob(farm, job);
  for (const lease of snapshot.leases) addLease(farm, stepOf(farm, lease.job, lease.step), lease);
  for (const lease of snapshot.lapsed) farm.lapsed.set(lease.token, lease);
  return farm;
}

function restoreJob(farm: Farm, snapshot: JobSnapshot): void {
  const steps = newStepRuns(snapshot.steps.map((step) => step.spec));
  const job: Job = { ...snapshot, steps };
  steps.forEach((step, index) => {
    const units = snapshot.steps[index]?.units;
    if (units !== undefined) step.units = restoreUnits(units);
  });
  for (const step of steps) if (step.units !== undefined) step.items = fanOutItems(job, step);
  farm.jobs.set(job.number, job);
  farm.jobByClientId.set(job.clientId, job.number);
  for (const step of steps) refreshReady(farm, job, step);
}

function restoreUnits(snapshot: UnitsSnapshot): UnitTable {
  const { size, columns, front, delayed, back, fresh, lostAttempts } = snapshot;
  const queues = { front: [...front], delayed: [...delayed], back: [...back], fresh, lostAttempts };
  const units = UnitTable.restore(size, columns, queues);
  for (const { unit, files } of snapshot.outputs) units.outputs.set(unit, files);
  for (const { unit, ...failure } of snapshot.failures) units.failures.set(unit, failure);
  for (const { unit, agentIds } of snapshot.losses) units.lostOn.set(unit, agentIds);
  return units;
}
