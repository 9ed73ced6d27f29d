/**
 * The fold: what each fact makes of the farm. Facts were decided already; nothing is checked here but
 * what would be a programmer's error.
 */
import { book, emptyBooking, unbook } from './demand.ts';
import type {
  EndKind,
  Fact,
  JobSubmitted,
  LeaseEnded,
  LeaseResumed,
  LeasesGranted,
  ResultsAccepted,
  UnitsCreated,
} from './facts.ts';
import {
  type AgentRecord,
  type Farm,
  fixedUnitCount,
  isComplete,
  isUnblocked,
  type Job,
  type JobEnd,
  type Lease,
  newStepRuns,
  type StepRun,
} from './farm.ts';
import { byName, matchesPattern } from './names.ts';
import type { File } from './task.ts';
import { counterOf, type Token } from './token.ts';
import { UnitTable } from './unit-table.ts';

/** The newest, and the one before it to fall back to. */
const SNAPSHOTS_KEPT = 2;

export function apply(farm: Farm, fact: Fact): void {
  switch (fact.type) {
    case 'FarmCreated':
      farm.farmId = fact.farmId;
      return;
    case 'EpochStarted':
      farm.epoch = fact.epoch;
      farm.lastCounter = 0;
      return;
    case 'JobSubmitted':
      return applyJobSubmitted(farm, fact);
    case 'UnitsCreated':
      return applyUnitsCreated(farm, fact);
    case 'LeasesGranted':
      return applyLeasesGranted(farm, fact);
    case 'ResultsAccepted':
      return applyResultsAccepted(farm, fact);
    case 'LeaseEnded':
      return applyLeaseEnded(farm, fact);
    case 'LeaseResumed':
      return applyLeaseResumed(farm, fact);
    case 'UnitsRequeued':
      return applyUnitsRequeued(farm, fact.job);
    case 'JobCancelled':
      return endJob(farm, fact.job, 'cancelled', fact.reason, fact.atMs);
    case 'JobEnded':
      return endJob(
        farm,
        fact.job,
        fact.succeeded ? 'succeeded' : 'failed',
        fact.reason,
        fact.atMs,
      );
    case 'JobPaused':
      return setPaused(farm, fact.job, true);
    case 'JobResumed':
      return setPaused(farm, fact.job, false);
    case 'AgentEnrolled': {
      const agent = enlistAgent(farm, fact.agentId);
      agent.name = fact.name;
      agent.version = fact.version;
      return;
    }
    case 'AgentDrainChanged':
      enlistAgent(farm, fact.agentId).draining = fact.draining;
      return;
    case 'SnapshotTaken':
      farm.snapshots = [...farm.snapshots, fact].slice(-SNAPSHOTS_KEPT);
      return;
  }
}

/** The job, which must exist. */
export function jobOf(farm: Farm, number: number): Job {
  const job = farm.jobs.get(number);
  if (job === undefined) throw new Error(`no job ${number} in the farm`);
  return job;
}

/** The step, which must exist. */
export function stepOf(farm: Farm, job: number, step: number): StepRun {
  const run = jobOf(farm, job).steps[step];
  if (run === undefined) throw new Error(`job ${job} has no step ${step}`);
  return run;
}

/** The table of a step whose units are known. */
export function unitsOf(step: StepRun): UnitTable {
  if (step.units === undefined) throw new Error(`units of step ${step.spec.name} are not known`);
  return step.units;
}

function applyJobSubmitted(farm: Farm, fact: JobSubmitted): void {
  const job: Job = {
    number: fact.job,
    clientId: fact.clientId,
    requestHash: fact.requestHash,
    name: fact.name,
    priority: fact.priority,
    recipe: fact.recipe,
    submittedAtMs: fact.atMs,
    steps: newStepRuns(fact.steps),
    paused: false,
    started: false,
    end: undefined,
  };
  for (const step of job.steps) {
    const count = fixedUnitCount(step.spec.parameters?.kind);
    if (count !== undefined) step.units = new UnitTable(count);
  }
  farm.lastJob = fact.job;
  farm.jobs.set(fact.job, job);
  farm.jobByClientId.set(fact.clientId, fact.job);
  for (const step of job.steps) refreshReady(farm, job, step);
}

function applyUnitsCreated(farm: Farm, fact: UnitsCreated): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  step.items = fanOutItems(job, step);
  step.units = new UnitTable(fact.count);
  refreshReady(farm, job, step);
  refreshDependents(farm, job, step);
}

/** What a fan-out runs over: matching outputs, ordered by producing unit, then name. */
export function fanOutItems(job: Job, step: StepRun): readonly File[] {
  const kind = step.spec.parameters?.kind;
  if (kind?.$case !== 'forEach') return [];
  const producer = job.steps.find((other) => other.spec.name === kind.value.step);
  return producer === undefined ? [] : outputsOf(producer, kind.value.pattern);
}

/** Outputs of a step that match, ordered by producing unit, then name. */
export function outputsOf(step: StepRun, pattern: string): File[] {
  return allOutputsOf(step).filter((file) => matchesPattern(file.name, pattern));
}

/** All outputs of a step, ordered by producing unit, then name. */
export function allOutputsOf(step: StepRun): File[] {
  const outputs = step.units?.outputs;
  if (outputs === undefined) return [];
  return [...outputs.keys()]
    .toSorted((a, b) => a - b)
    .flatMap((unit) => (outputs.get(unit) ?? []).toSorted(byName));
}

function applyLeasesGranted(farm: Farm, fact: LeasesGranted): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const agent = enlistAgent(farm, fact.agentId);
  fact.units.forEach((unit, offset) => {
    const token = (fact.firstToken + offset) as Token;
    farm.lapsed.delete(units.tokenOf(unit));
    units.lease(unit, token, agent.number);
    addLease(farm, step, {
      token,
      job: fact.job,
      step: fact.step,
      unit,
      attempt: units.attemptsOf(unit),
      agentId: fact.agentId,
      session: fact.session,
      grantNumber: fact.grantNumber,
      gpuIds: fact.gpuIds,
    });
  });
  farm.lastCounter = counterOf(fact.firstToken) + fact.units.length - 1;
  job.started = true;
  refreshReady(farm, job, step);
}

function applyResultsAccepted(farm: Farm, fact: ResultsAccepted): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const filesByUnit = new Map(fact.outputs.map((entry) => [entry.unit, entry.files]));
  fact.units.forEach((unit, offset) => {
    const token = fact.tokens[offset];
    if (token !== undefined) {
      removeLease(farm, step, token);
      farm.lapsed.delete(token);
    }
    units.accept(unit, filesByUnit.get(unit) ?? []);
  });
  refreshReady(farm, job, step);
  if (isComplete(step)) refreshDependents(farm, job, step);
}

/** Ends that the agent did not report: it may still come back with the lease. */
const LAPSES: ReadonlySet<EndKind> = new Set(['lost', 'expired']);

function applyLeaseEnded(farm: Farm, fact: LeaseEnded): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const lease = removeLease(farm, step, fact.token);
  if (lease !== undefined && fact.next.kind === 'queued' && LAPSES.has(fact.kind)) {
    farm.lapsed.set(fact.token, lease);
  }
  units.lostAttempts += 1;
  units.failures.set(fact.unit, {
    kind: fact.kind,
    message: fact.message,
    agentId: fact.agentId,
  });
  if (fact.counts) units.countFailure(fact.unit);
  if (fact.lost) units.countLoss(fact.unit, fact.agentId);
  switch (fact.next.kind) {
    case 'queued':
      units.requeue(fact.unit, fact.next.notBeforeMs, fact.front);
      break;
    case 'failed':
      units.fail(fact.unit);
      break;
    case 'nothing':
      break;
  }
  refreshReady(farm, job, step);
}

function applyLeaseResumed(farm: Farm, fact: LeaseResumed): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  units.resume(fact.unit);
  farm.lapsed.delete(fact.token);
  addLease(farm, step, {
    token: fact.token,
    job: fact.job,
    step: fact.step,
    unit: fact.unit,
    attempt: units.attemptsOf(fact.unit),
    agentId: fact.agentId,
    session: fact.session,
    grantNumber: 0,
    gpuIds: fact.gpuIds,
  });
  refreshReady(farm, job, step);
}

function applyUnitsRequeued(farm: Farm, number: number): void {
  const job = jobOf(farm, number);
  job.end = undefined;
  for (const step of job.steps) {
    step.units?.reopen();
    refreshReady(farm, job, step);
  }
}

function endJob(farm: Farm, number: number, state: JobEnd, reason: string, atMs: number): void {
  const job = jobOf(farm, number);
  for (const step of job.steps) {
    if (step.units === undefined) continue;
    releaseLeases(farm, step);
    step.units.cancelOpen();
  }
  job.end = { state, reason, atMs };
  job.paused = false;
  for (const step of job.steps) refreshReady(farm, job, step);
}

function releaseLeases(farm: Farm, step: StepRun): void {
  const units = unitsOf(step);
  for (let unit = 0; unit < units.size; unit += 1) {
    if (!units.isOpen(unit)) continue;
    const token = units.tokenOf(unit);
    removeLease(farm, step, token);
    farm.lapsed.delete(token);
  }
}

function setPaused(farm: Farm, number: number, paused: boolean): void {
  const job = jobOf(farm, number);
  job.paused = paused;
  for (const step of job.steps) refreshReady(farm, job, step);
}

export function addLease(farm: Farm, step: StepRun, lease: Lease): void {
  const agent = enlistAgent(farm, lease.agentId);
  farm.leases.set(lease.token, lease);
  agent.leases.add(lease.token);
  book(agent.booking, step.demand, lease.gpuIds);
}

function removeLease(farm: Farm, step: StepRun, token: Token): Lease | undefined {
  const lease = farm.leases.get(token);
  if (lease === undefined) return undefined;
  const agent = enlistAgent(farm, lease.agentId);
  farm.leases.delete(token);
  agent.leases.delete(token);
  unbook(agent.booking, step.demand, lease.gpuIds);
  return lease;
}

/** The agent's record, made at its first mention. */
export function enlistAgent(farm: Farm, agentId: string): AgentRecord {
  const known = farm.agents.get(agentId);
  if (known !== undefined) return known;
  const record: AgentRecord = {
    id: agentId,
    number: farm.agentByNumber.length + 1,
    name: agentId,
    version: '',
    draining: false,
    leases: new Set(),
    booking: emptyBooking(),
  };
  farm.agents.set(agentId, record);
  farm.agentByNumber.push(record);
  return record;
}

function refreshDependents(farm: Farm, job: Job, step: StepRun): void {
  for (const index of step.dependents) {
    const dependent = job.steps[index];
    if (dependent !== undefined) refreshReady(farm, job, dependent);
  }
}

/** Keeps the ready index true for one step. */
export function refreshReady(farm: Farm, job: Job, step: StepRun): void {
  const entry = { job: job.number, step: step.index, priority: job.priority };
  if (isReady(job, step)) farm.ready.add(step.classKey, entry);
  else farm.ready.remove(step.classKey, entry);
}

/** Whether the step has units that placement should look at. */
export function isReady(job: Job, step: StepRun): boolean {
  if (job.end !== undefined || job.paused || step.units === undefined) return false;
  return step.units.counts.queued > 0 && isUnblocked(job, step);
}
