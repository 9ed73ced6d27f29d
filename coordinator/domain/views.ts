/** What outsiders are shown of the farm. Views are plain copies: they stay as they were made. */
import type { AgentPolicy } from './agent-policy.ts';
import { allOutputsOf } from './fan-out.ts';
import { type AgentRecord, type Farm, type Job, jobId, type StepRun, unitId } from './farm.ts';
import { matchesPattern } from './names.ts';
import type { File } from './task.ts';
import { isUnblocked } from './tolerance.ts';
import type { UnitState } from './unit-columns.ts';
import { UNIT_LEASED, UNIT_QUEUED } from './unit-table.ts';

export type JobState = 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';

export interface StepView {
  readonly name: string;
  readonly total: number;
  readonly blocked: number;
  readonly queued: number;
  readonly leased: number;
  readonly accepted: number;
  readonly failed: number;
  readonly cancelled: number;
  /** False while a fan-out does not know its number of units. */
  readonly known: boolean;
  readonly lostAttempts: number;
}

export interface JobView {
  readonly number: number;
  readonly id: string;
  readonly name: string;
  readonly clientId: string;
  readonly priority: number;
  readonly recipe: string;
  /** Empty for nobody's. */
  readonly owner: string;
  /** 0 for no limit. */
  readonly maxUnits: number;
  readonly state: JobState;
  readonly reason: string;
  readonly submittedAtMs: number;
  /** 0 while open. */
  readonly endedAtMs: number;
  readonly steps: readonly StepView[];
  /** Kept outputs; empty until the job has succeeded. */
  readonly outputs: readonly File[];
  /** It has left the memory. */
  readonly archived: boolean;
}

export function viewOfJob(
  job: Job,
  steps: readonly StepView[] = job.steps.map((step) => viewOfStep(job, step)),
): JobView {
  return {
    number: job.number,
    id: jobId(job.number),
    name: job.name,
    clientId: job.clientId,
    priority: job.priority,
    recipe: job.recipe,
    owner: job.owner,
    maxUnits: job.maxUnits,
    state: job.end?.state ?? (job.paused ? 'paused' : job.started ? 'running' : 'queued'),
    reason: job.end?.reason ?? '',
    submittedAtMs: job.submittedAtMs,
    endedAtMs: job.end?.atMs ?? 0,
    steps,
    outputs: job.end?.state === 'succeeded' ? job.steps.flatMap(keptOutputs) : [],
    archived: false,
  };
}

export function viewOfStep(job: Job, step: StepRun): StepView {
  const counts = step.units?.counts;
  const queued = counts?.queued ?? 0;
  const waits = !isUnblocked(job, step);
  return {
    name: step.spec.name,
    total: step.units?.size ?? 0,
    blocked: waits ? queued : 0,
    queued: waits ? 0 : queued,
    leased: counts?.leased ?? 0,
    accepted: counts?.accepted ?? 0,
    failed: counts?.failed ?? 0,
    cancelled: counts?.cancelled ?? 0,
    known: step.units !== undefined,
    lostAttempts: step.units?.lostAttempts ?? 0,
  };
}

/** Outputs that the user asked for. */
export function keptOutputs(step: StepRun): File[] {
  const kept = step.spec.outputs.filter((output) => output.keep);
  if (kept.length === 0) return [];
  return allOutputsOf(step).filter((file) =>
    kept.some((output) => matchesPattern(file.name, output.pattern)),
  );
}

export interface AgentView {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly draining: boolean;
  readonly policy: AgentPolicy | undefined;
  readonly isRevoked: boolean;
  readonly leases: number;
  readonly bookedCpuMillis: number;
  readonly bookedRamBytes: number;
}

export function viewOfAgent(record: AgentRecord): AgentView {
  const { id, name, version, draining, policy, revokedAtMs, leases, booking } = record;
  const { cpuMillis: bookedCpuMillis, ramBytes: bookedRamBytes } = booking;
  return {
    id,
    name,
    version,
    draining,
    policy,
    isRevoked: revokedAtMs !== 0,
    leases: leases.size,
    bookedCpuMillis,
    bookedRamBytes,
  };
}

export interface UnitView {
  readonly id: string;
  readonly step: string;
  readonly index: number;
  readonly state: 'blocked' | 'queued' | 'leased' | 'accepted' | 'failed' | 'cancelled';
  readonly attempts: number;
  /** Empty when no agent holds it or had it accepted. */
  readonly agentId: string;
  readonly failureKind: string;
  readonly failureMessage: string;
  /** Unix time in milliseconds; 0 when ready. */
  readonly retryAtMs: number;
  readonly outputs: readonly File[];
}

const STATE_NAMES = ['queued', 'leased', 'accepted', 'failed', 'cancelled'] as const;

/** Units of a job from position `from` on, at most `limit`; `next` is undefined at the end. */
export function viewOfUnits(
  farm: Farm,
  job: Job,
  filter: (step: string, state: UnitView['state']) => boolean,
  from: number,
  limit: number,
): { readonly units: readonly UnitView[]; readonly next: number | undefined } {
  const units: UnitView[] = [];
  let position = 0;
  for (const step of job.steps) {
    const waits = !isUnblocked(job, step);
    const size = step.units?.size ?? 0;
    for (let unit = 0; unit < size; unit += 1, position += 1) {
      if (position < from) continue;
      const name = stateName(step.units?.stateOf(unit) ?? UNIT_QUEUED, waits);
      if (!filter(step.spec.name, name)) continue;
      if (units.length === limit) return { units, next: position };
      units.push(viewOfUnit(farm, job, step, unit, name));
    }
  }
  return { units, next: undefined };
}

function stateName(state: UnitState, waits: boolean): UnitView['state'] {
  return waits && state === UNIT_QUEUED ? 'blocked' : STATE_NAMES[state];
}

function viewOfUnit(
  farm: Farm,
  job: Job,
  step: StepRun,
  unit: number,
  state: UnitView['state'],
): UnitView {
  const { units } = step;
  const failure = units?.failures.get(unit);
  const holds = state === 'accepted' || units?.stateOf(unit) === UNIT_LEASED;
  const agent = holds ? farm.agentByNumber[(units?.agentOf(unit) ?? 0) - 1] : undefined;
  return {
    id: unitId(job.number, step.spec.name, unit),
    step: step.spec.name,
    index: unit,
    state,
    attempts: units?.attemptsOf(unit) ?? 0,
    agentId: agent?.id ?? '',
    failureKind: failure?.kind ?? '',
    failureMessage: failure?.message ?? '',
    retryAtMs: units?.notBeforeMsOf(unit) ?? 0,
    outputs: units?.outputs.get(unit) ?? [],
  };
}
