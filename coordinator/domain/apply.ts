/**
 * The fold: what each fact makes of the farm. Facts were decided already; nothing is checked here but
 * what would be a programmer's error.
 */
import { jobsOf, withoutJob, withSegment } from './archive.ts';
import { createToken, joinAgent, noteUses, revokeAgent } from './credentials.ts';
import { book, emptyBooking, unbook } from './demand.ts';
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
  type AgentRecord,
  type Farm,
  fixedUnitCount,
  type Job,
  type JobEnd,
  type Lease,
  type LeaseRecord,
  newStepRuns,
  declaredDemand,
  type Slot,
  slotKeyOf,
  type StepRun,
} from './farm.ts';
import { learnedDemand } from './learned-sizes.ts';
import { byName, matchesPattern } from './names.ts';
import { setQuota } from './set-quota.ts';
import type { ReadyStep } from './ready-index.ts';
import { bookTickets, chargeLease, setOwner, setTickets, unbookTickets } from './sharing.ts';
import type { File } from './task.ts';
import { queuedByClass, type Size, sizeOfUnit } from './size.ts';
import { isComplete, isUnblocked } from './tolerance.ts';
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
  fillItems(job, step);
  step.units = new UnitTable(fact.count);
  step.units.queueInOrder(largestFirst(step.items));
  refreshProgress(farm, job);
  refreshReady(farm, job, step);
  refreshDependents(farm, job, step);
}

/** A queue of more takes time to go through, and its last unit matters less. */
const MOST_ORDERED_UNITS = 256;

/**
 * The order in which units of a fan-out should start: what takes longest first, so that no agent is left with it
 * at the end. How large its input is tells that. Empty where the order they have is as good.
 */
function largestFirst(items: readonly File[]): number[] {
  const sizes = new Set(items.map(({ sizeBytes }) => sizeBytes));
  if (sizes.size < 2 || items.length > MOST_ORDERED_UNITS) return [];
  const sizeOf = (unit: number): number => items[unit]?.sizeBytes ?? 0;
  return items.map((_, unit) => unit).toSorted((a, b) => sizeOf(b) - sizeOf(a) || a - b);
}

/** What a fan-out runs over: matching outputs, ordered by producing unit, then name. */
export function fanOutItems(job: Job, step: StepRun): readonly File[] {
  const kind = step.spec.parameters?.kind;
  if (kind?.$case !== 'forEach') return [];
  const producer = job.steps.find((other) => other.spec.name === kind.value.step);
  return producer === undefined ? [] : outputsOf(producer, kind.value.pattern);
}

/** What a fan-out runs over, and who made it. */
export function fillItems(job: Job, step: StepRun): void {
  step.items = fanOutItems(job, step);
  const kind = step.spec.parameters?.kind;
  if (kind?.$case !== 'forEach') return;
  const units = job.steps.find(({ spec }) => spec.name === kind.value.step)?.units;
  if (units === undefined) return;
  step.makers = [...units.outputs]
    .toSorted(([a], [b]) => a - b)
    .flatMap(([unit, files]) =>
      files
        .filter(({ name }) => matchesPattern(name, kind.value.pattern))
        .map(() => units.agentOf(unit)),
    );
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

function releaseLeases(farm: Farm, step: StepRun): void {
  const units = unitsOf(step);
  for (let unit = 0; unit < units.size; unit += 1) {
    if (!units.isOpen(unit)) continue;
    const token = units.tokenOf(unit);
    removeLease(farm, token);
    farm.lapsed.delete(token);
    const copy = units.copies.get(unit);
    if (copy !== undefined) removeLease(farm, copy.token);
  }
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

function applySizesLearned(farm: Farm, { sizes }: SizesLearned): void {
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

/**
 * Puts a lease into the book. One that waits behind none runs, whatever was thought of it. `running`: it had
 * begun before, so that it takes what it takes.
 */
export function addLease(
  farm: Farm,
  size: Size,
  record: LeaseRecord,
  how: 'granted' | 'waiting' | 'running',
): void {
  const agent = enlistAgent(farm, record.agentId);
  const slot = slotOf(agent, size, record.gpuIds);
  const { token, job, unit, attempt, agentId, session, grantNumber, gpuIds } = record;
  const { step: index } = record;
  // One literal: a million of these may come and go in a minute, and images compare key by key.
  farm.leases.set(token, {
    token,
    job,
    step: index,
    unit,
    attempt,
    agentId,
    session,
    grantNumber,
    gpuIds,
    slot,
  });
  agent.leases.add(token);
  chargeLease(farm, slot, jobOf(farm, job).owner, 1, () => {
    slot.held += 1;
    if (how === 'waiting' && slot.booked > 0) return;
    slot.booked += 1;
    book(agent.booking, slot.demand, slot.gpuIds);
    bookTickets(farm, slot.demand, how !== 'granted');
  });
}

function slotOf(agent: AgentRecord, size: Size, gpuIds: readonly string[]): Slot {
  const key = slotKeyOf(size.classKey, gpuIds);
  const known = agent.slots.get(key);
  if (known !== undefined) return known;
  const { classKey, demand } = size;
  const slot: Slot = { key, classKey, demand, gpuIds, heldBy: new Map(), booked: 0, held: 0 };
  agent.slots.set(key, slot);
  return slot;
}

function removeLease(farm: Farm, token: Token): Lease | undefined {
  const lease = farm.leases.get(token);
  if (lease === undefined) return undefined;
  const agent = enlistAgent(farm, lease.agentId);
  farm.leases.delete(token);
  agent.leases.delete(token);
  const { slot } = lease;
  chargeLease(farm, slot, jobOf(farm, lease.job).owner, -1, () => {
    slot.held -= 1;
    // Its place is taken by one that waited, if there is one.
    if (slot.booked <= slot.held) return;
    slot.booked -= 1;
    unbook(agent.booking, slot.demand, slot.gpuIds);
    unbookTickets(farm, slot.demand);
  });
  if (slot.held === 0) agent.slots.delete(slot.key);
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
    policy: undefined,
    key: undefined,
    revokedAtMs: 0,
    leases: new Set(),
    slots: new Map(),
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

/** Takes note of how far the job is: that changes its place in the ready index eight times at most. */
function refreshProgress(farm: Farm, job: Job): void {
  const eighths = eighthsOf(job.steps);
  if (eighths === job.eighths) return;
  for (const step of job.steps) takeFromReady(farm, job, step);
  job.eighths = eighths;
  for (const step of job.steps) refreshReady(farm, job, step);
}

/**
 * Of eight parts of the units that are known so many are accepted. The part, and not the number that is left:
 * else a stream of small jobs would hold up a large one for ever.
 */
export function eighthsOf(steps: readonly StepRun[]): number {
  let [accepted, size] = [0, 0];
  for (const { units } of steps) {
    accepted += units?.counts.accepted ?? 0;
    size += units?.size ?? 0;
  }
  return size === 0 ? 0 : Math.floor((accepted * 8) / size);
}

export function readyEntry(job: Job, step: StepRun): ReadyStep {
  const { number, priority, owner, eighths } = job;
  return { job: number, step: step.index, priority, owner, eighths };
}

function takeFromReady(farm: Farm, job: Job, step: StepRun): void {
  const entry = readyEntry(job, step);
  for (const classKey of readyClasses(job, step).keys()) farm.ready.remove(classKey, entry);
}

/** Keeps the ready index true for one step. */
export function refreshReady(farm: Farm, job: Job, step: StepRun): void {
  const entry = readyEntry(job, step);
  for (const [classKey, isReady] of readyClasses(job, step)) {
    if (isReady) farm.ready.add(classKey, entry);
    else farm.ready.remove(classKey, entry);
  }
}

/** The classes of the step's units, and whether placement should look at those of each. */
export function readyClasses(job: Job, step: StepRun): ReadonlyMap<string, boolean> {
  const { units } = step;
  const isOpen = job.end === undefined && !job.paused && units !== undefined;
  const mayStart = isOpen && units.counts.queued > 0 && isUnblocked(job, step);
  if (units === undefined || units.growths.size === 0) return new Map([[step.classKey, mayStart]]);
  return new Map([...queuedByClass(step)].map(([key, queued]) => [key, mayStart && queued > 0]));
}
