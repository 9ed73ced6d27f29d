/**
 * The fold: what each fact makes of the farm. Facts were decided already; nothing is checked here but
 * what would be a programmer's error.
 */
import { jobsOf, withoutJob, withSegment } from './archive.ts';
import { createToken, joinAgent, noteUses, revokeAgent } from './credentials.ts';
import type {
  EndKind,
  EpochStarted,
  Fact,
  JobsArchived,
  JobSubmitted,
  LeaseEnded,
  LeaseResumed,
  LeasesGranted,
  ResultsAccepted,
  SizesLearned,
  UnitsCreated,
} from './facts.ts';
import {
  type Farm,
  fixedUnitCount,
  type Job,
  type JobEnd,
  type LeaseRecord,
  newStepRuns,
  declaredDemand,
  type StepRun,
} from './farm.ts';
import { fillItems, largestFirst } from './fan-out.ts';
import { jobOf, stepOf, unitsOf } from './find.ts';
import { addLease, enlistAgent, releaseLeases, removeLease } from './lease-book.ts';
import { refreshDependents, refreshProgress, refreshReady, takeFromReady } from './ready-steps.ts';
import { learnedDemand } from './learned-sizes.ts';
import { addModel } from './model.ts';
import { keepMemories } from './model-memory.ts';
import { setQuota } from './set-quota.ts';
import { setOwner, setTickets } from './sharing.ts';
import { sizeOfUnit } from './size.ts';
import { isComplete } from './tolerance.ts';
import { bound } from './uniform.ts';
import { counterOf, type Token } from './token.ts';
import { UnitTable } from './unit-table.ts';

/** The newest, and the one before it to fall back to. */
const SNAPSHOTS_KEPT = 2;
const MOST_KINDS_LEARNED = 4_096;

export function apply(farm: Farm, fact: Fact): void {
  switch (fact.type) {
    case 'FarmCreated':
      farm.farmId = fact.farmId;
      return;
    case 'EpochStarted':
      return applyEpochStarted(farm, fact);
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
    case 'CheckpointSaved':
      return unitsOf(stepOf(farm, fact.job, fact.step)).saveCheckpoint(fact.unit, fact.files);
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
    case 'AgentPolicySet':
      enlistAgent(farm, fact.agentId).policy = fact.policy;
      return;
    case 'SnapshotTaken':
      farm.snapshots = [...farm.snapshots, fact].slice(-SNAPSHOTS_KEPT);
      return;
    case 'JobsArchived':
      return applyJobsArchived(farm, fact);
    case 'JobRemoved':
      forgetJob(farm, fact.job);
      farm.archive = withoutJob(farm.archive, fact.job);
      return;
    case 'SizesLearned':
      return applySizesLearned(farm, fact);
    case 'TicketsSet':
      return setTickets(farm, fact.name, fact.limit);
    case 'OwnerSet':
      return setOwner(farm, farm.parts.text(fact.name), fact.weight, fact.maxUnits);
    case 'QuotaSet':
      return setQuota(farm, fact.name, fact);
    case 'TokenCreated':
      return createToken(farm, fact);
    case 'TokenRevoked':
      farm.tokens.delete(fact.id);
      return;
    case 'TokensUsed':
      return noteUses(farm, fact.uses);
    case 'AgentJoined':
      return joinAgent(farm, enlistAgent(farm, fact.agentId), fact);
    case 'AgentRevoked':
      return revokeAgent(farm, enlistAgent(farm, fact.agentId), fact);
    case 'ModelAdded':
      return addModel(farm, fact);
    case 'ModelRemoved':
      farm.models.delete(fact.name);
      return;
  }
}

function applyEpochStarted(farm: Farm, fact: EpochStarted): void {
  const { epoch, reignId, sequence, acceptsLoss } = fact;
  farm.epoch = epoch;
  farm.lastCounter = 0;
  farm.reigns.push({ epoch, id: reignId, firstSequence: sequence, acceptsLoss });
  if (acceptsLoss) revokeLeases(farm);
}

/**
 * Commits were lost in which the same tokens may have been granted for other work: none of them is
 * current any more, and every unit that was leased is queued again.
 */
function revokeLeases(farm: Farm): void {
  for (const token of farm.leases.keys()) removeLease(farm, token);
  farm.lapsed.clear();
  for (const job of farm.jobs.values()) {
    for (const step of job.steps) {
      step.units?.revoke();
      refreshReady(farm, job, step);
    }
  }
}

function applyJobSubmitted(farm: Farm, fact: JobSubmitted): void {
  const job: Job = {
    number: fact.job,
    clientId: fact.clientId,
    requestHash: fact.requestHash,
    name: farm.parts.text(fact.name),
    priority: fact.priority,
    recipe: farm.parts.text(fact.recipe),
    submittedAtMs: fact.atMs,
    owner: farm.parts.text(fact.owner ?? ''),
    maxUnits: fact.maxUnits ?? 0,
    steps: newStepRuns(farm, fact.recipe, fact.steps),
    failures: farm.parts.failures(fact.failures),
    eighths: 0,
    paused: false,
    started: false,
    end: undefined,
  };
  for (const step of job.steps) {
    const count = fixedUnitCount(step.spec.parameters?.kind);
    const isSure = count !== undefined && step.spec.insteadOf === undefined;
    if (isSure) step.units = new UnitTable(count);
  }
  farm.lastJob = fact.job;
  farm.jobs.set(fact.job, job);
  farm.jobByClientId.set(fact.clientId, fact.job);
  for (const step of job.steps) refreshReady(farm, job, step);
}

function applyUnitsCreated(farm: Farm, fact: UnitsCreated): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  step.units = new UnitTable(fact.count);
  fillItems(job, step);
  step.units.queueInOrder(largestFirst(step.items));
  refreshProgress(farm, job);
  refreshReady(farm, job, step);
  refreshDependents(farm, job, step);
}

function applyLeasesGranted(farm: Farm, fact: LeasesGranted): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const { job: number, step: index, agentId, session, grantNumber, gpuIds, waiting } = fact;
  const agent = enlistAgent(farm, agentId);
  if (fact.pin !== undefined) setPin(farm, job, step, fact.pin);
  let token = fact.firstToken;
  for (const unit of fact.units) {
    if (fact.copy) units.copy(unit, token, agent.number);
    else {
      if (farm.lapsed.size > 0) farm.lapsed.delete(units.tokenOf(unit));
      units.lease(unit, token, agent.number);
    }
    const attempt = units.attemptsOf(unit);
    const lease: LeaseRecord = {
      token,
      job: number,
      step: index,
      unit,
      attempt,
      agentId,
      session,
      grantNumber,
      gpuIds,
    };
    addLease(farm, sizeOfUnit(step, unit), lease, waiting ? 'waiting' : 'granted');
    token = (token + 1) as Token;
  }
  farm.lastCounter = counterOf(fact.firstToken) + fact.units.length - 1;
  job.started = true;
  refreshReady(farm, job, step);
}

function setPin(farm: Farm, job: Job, step: StepRun, pin: string | undefined): void {
  step.pin = pin;
  resize(farm, job, step);
}

function applyResultsAccepted(farm: Farm, fact: ResultsAccepted): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const filesByUnit = new Map(fact.outputs.map((entry) => [entry.unit, entry.files]));
  fact.units.forEach((unit, offset) => {
    const token = fact.tokens[offset];
    if (token !== undefined) {
      removeLease(farm, token);
      farm.lapsed.delete(token);
    }
    units.accept(unit, filesByUnit.get(unit) ?? []);
  });
  refreshProgress(farm, job);
  refreshReady(farm, job, step);
  if (isComplete(job, step)) refreshDependents(farm, job, step);
}

/** Ends that the agent did not report: it may still come back with the lease. */
const LAPSES: ReadonlySet<EndKind> = new Set(['lost', 'expired']);

function applyLeaseEnded(farm: Farm, fact: LeaseEnded): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  const lease = removeLease(farm, fact.token);
  if (lease !== undefined && fact.next.kind === 'queued' && LAPSES.has(fact.kind)) {
    const { slot: _slot, ...record } = lease;
    farm.lapsed.set(fact.token, record);
  }
  // What was asked back never began, and what was beaten did nothing wrong: they leave no trace.
  if (fact.kind === 'retracted') units.unbegin(fact.unit, fact.attempt);
  else if (!isBeaten(fact)) {
    units.lostAttempts += 1;
    const { kind, message, agentId } = fact;
    units.noteFailure(fact.unit, { kind, message, agentId });
  }
  if (fact.counts) units.countFailure(fact.unit);
  if (fact.lost) units.countLoss(fact.unit, fact.agentId);
  if (fact.grow !== undefined) units.grow(fact.unit, fact.grow);
  switch (fact.next.kind) {
    case 'queued':
      units.requeue(fact.unit, fact.next.notBeforeMs, fact.front);
      break;
    case 'failed':
      units.fail(fact.unit);
      break;
    case 'nothing':
      units.endCopy(fact.unit, fact.token);
      break;
  }
  refreshReady(farm, job, step);
  // Nothing of it is made: another version may do as well.
  if (units.counts.leased + units.counts.accepted === 0 && step.pin !== undefined) {
    setPin(farm, job, step, undefined);
  }
  if (isComplete(job, step)) refreshDependents(farm, job, step);
}

/** The unit's other copy was first. */
function isBeaten({ kind, next }: LeaseEnded): boolean {
  return kind === 'cancelled' && next.kind === 'nothing';
}

function applyLeaseResumed(farm: Farm, fact: LeaseResumed): void {
  const job = jobOf(farm, fact.job);
  const step = stepOf(farm, fact.job, fact.step);
  const units = unitsOf(step);
  units.resume(fact.unit);
  // A copy that is over may have begun after it.
  const attempt = farm.lapsed.get(fact.token)?.attempt ?? units.attemptsOf(fact.unit);
  farm.lapsed.delete(fact.token);
  const { token, job: number, step: index, unit, agentId, session, gpuIds, waiting } = fact;
  const record = { token, job: number, step: index, unit, attempt, agentId, session };
  const how = waiting ? 'waiting' : 'running';
  addLease(farm, sizeOfUnit(step, unit), { ...record, grantNumber: 0, gpuIds }, how);
  refreshReady(farm, job, step);
}

function applyUnitsRequeued(farm: Farm, number: number): void {
  const job = jobOf(farm, number);
  job.end = undefined;
  for (const step of job.steps) {
    step.units?.reopen();
    if (step.units?.counts.accepted === 0 && step.pin !== undefined) {
      setPin(farm, job, step, undefined);
    }
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

function applyJobsArchived(farm: Farm, { segment }: JobsArchived): void {
  for (const number of jobsOf({ ranges: segment.ranges, removed: [] })) forgetJob(farm, number);
  farm.archive = withSegment(farm.archive, segment);
}

/** An ended job has neither leases nor queued units: nothing else knows of it. */
function forgetJob(farm: Farm, number: number): void {
  const job = farm.jobs.get(number);
  if (job === undefined) return;
  farm.jobs.delete(number);
  farm.jobByClientId.delete(job.clientId);
}

function applySizesLearned(farm: Farm, { sizes, models }: SizesLearned): void {
  keepMemories(farm.modelMemory, models);
  const changed = new Set<string>();
  for (const size of sizes) {
    farm.learned.delete(size.kind);
    farm.learned.set(size.kind, size);
    changed.add(size.kind);
  }
  for (const kind of farm.learned.keys()) {
    if (farm.learned.size <= MOST_KINDS_LEARNED) break;
    farm.learned.delete(kind);
    changed.add(kind);
  }
  // All of them: whatever becomes ready, or is put together from a snapshot, is as large as these.
  for (const job of farm.jobs.values()) {
    for (const step of job.steps) if (changed.has(step.kind)) resize(farm, job, step);
  }
}

/** The step's units that wait are placed by another demand from now on; leases keep what they book. */
export function resize(farm: Farm, job: Job, step: StepRun): void {
  const learned = farm.learned.get(step.kind);
  const given = bound(learnedDemand(declaredDemand(step.spec), learned), step.pin);
  const { demand, classKey } = farm.parts.size(given);
  if (classKey === step.classKey) return;
  takeFromReady(farm, job, step);
  step.demand = demand;
  step.classKey = classKey;
  refreshReady(farm, job, step);
}

function setPaused(farm: Farm, number: number, paused: boolean): void {
  const job = jobOf(farm, number);
  job.paused = paused;
  for (const step of job.steps) refreshReady(farm, job, step);
}
