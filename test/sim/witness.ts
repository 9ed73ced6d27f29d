/**
 * Sees everything: what is stored, what is said and what runs. Says which promise was broken, in the
 * moment in which it was. It keeps its own fold of the stored commits and asks the domain for nothing
 * that a planted bug could have changed, but `apply`.
 */
import { apply } from '../../coordinator/domain/apply.ts';
import { checkBookings, checkFarm } from '../../coordinator/domain/check-farm.ts';
import type {
  Answer,
  ReportedResult,
  ReportResults,
  SubmitJob,
} from '../../coordinator/domain/commands.ts';
import type { StopOrder } from '../../coordinator/domain/decision.ts';
import type { GrantOrder } from '../../coordinator/domain/assignment.ts';
import type {
  Fact,
  JobsArchived,
  LeaseEnded,
  LeasesGranted,
  ResultsAccepted,
} from '../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm, type Job, type StepRun } from '../../coordinator/domain/farm.ts';
import type { Liveness } from '../../coordinator/domain/liveness.ts';
import { epochOf, type Token } from '../../coordinator/domain/token.ts';
import type { StallStep } from '../../coordinator/domain/stall-watch.ts';
import {
  UNIT_ACCEPTED,
  UNIT_CANCELLED,
  type UnitTable,
} from '../../coordinator/domain/unit-table.ts';
import { type JobView, viewOfJob } from '../../coordinator/domain/views.ts';
import type { CommitRecord } from '../../coordinator/ports.ts';
import { archivedJobs, type ReadArchive } from './archive-check.ts';
import { CopyCheck } from './copy-check.ts';
import { Custody } from './custody.ts';
import { FoldCheck } from './fold-check.ts';
import { neededBlobs } from './sim-lists.ts';
import { Violation } from './violation.ts';

export class Witness {
  /** Fold of what is stored, to the byte. */
  readonly stored: Farm = emptyFarm();
  readonly accepted = new Map<Token, string>();
  readonly facts = new Map<Fact['type'], number>();
  startsFromSnapshot = 0;
  blobsDeleted = 0;
  readonly ends = new Map<LeaseEnded['kind'], number>();
  readonly #granted = new Set<Token>();
  readonly #succeeded = new Set<Token>();
  readonly #hanging = new Set<Token>();
  /** Jobs whose cancel is stored, also those that were removed since. */
  readonly #cancelled = new Set<number>();
  /** Of units that were cancelled before they were queued again. */
  readonly #reopened = new Set<Token>();
  readonly #acknowledged = new Map<string, number>();
  readonly custody = new Custody();
  readonly copies = new CopyCheck(this.stored);
  /** By epoch: true time before which nothing may expire. */
  readonly #graceEndsMs = new Map<number, number>();
  #commits = 0;
  readonly #folds = new FoldCheck(this.stored);
  /** By epoch: the program that leads in it, if it has said so. */
  readonly #leaders = new Map<number, string>();
  readonly #acceptedUnits = new Set<string>();
  readonly #sessions = new Map<string, string>();
  readonly #nowMs: () => number;
  readonly #blobs: ReadonlySet<string>;
  readonly #readArchive: ReadArchive;
  /** Jobs that left the memory and were not removed. */
  readonly archived = new Map<number, JobView>();

  /** `blobs`: those that are on the blob store's disk. */
  constructor(nowMs: () => number, blobs: ReadonlySet<string>, readArchive: ReadArchive) {
    this.#readArchive = readArchive;
    this.#nowMs = nowMs;
    this.#blobs = blobs;
  }

  // --- what is stored -------------------------------------------------------------------------

  onStored(commit: CommitRecord): void {
    if (commit.number !== this.#commits + 1 || commit.epoch < this.stored.epoch) {
      const message = `commit ${commit.number} of epoch ${commit.epoch} was stored behind commit ${this.#commits} of epoch ${this.stored.epoch}`;
      throw new Violation('two-leaders', message);
    }
    this.#commits = commit.number;
    this.#folds.onStored(commit);
    for (const fact of commit.facts) {
      this.facts.set(fact.type, (this.facts.get(fact.type) ?? 0) + 1);
      if (fact.type === 'LeasesGranted') this.#onGranted(fact);
      if (fact.type === 'ResultsAccepted') this.#onAccepted(fact);
      if (fact.type === 'LeaseEnded') this.#onEnded(fact, commit.epoch);
      if (fact.type === 'JobSubmitted') this.#checkStored(neededBlobs(fact.steps), `j${fact.job}`);
      if (fact.type === 'UnitsCreated' && this.#stepOf(fact)?.units !== undefined) {
        throw new Violation('created-twice', where(fact, 0));
      }
      if (fact.type === 'JobsArchived') this.#onArchived(fact);
      if (fact.type === 'JobRemoved') this.#onRemoved(fact.job);
      if (fact.type === 'JobCancelled') this.#cancelled.add(fact.job);
      if (fact.type === 'UnitsRequeued') this.#onReopened(fact.job);
      apply(this.stored, fact);
    }
  }

  #onArchived({ segment }: JobsArchived): void {
    for (const view of archivedJobs(this.stored, segment, this.#readArchive)) {
      this.archived.set(view.number, view);
    }
  }

  /** The retry of an ended job, told before it is applied. */
  #onReopened(job: number): void {
    for (const { units } of this.stored.jobs.get(job)?.steps ?? []) {
      if (units === undefined) continue;
      for (let unit = 0; unit < units.size; unit += 1) {
        if (units.stateOf(unit) === UNIT_CANCELLED) this.#reopened.add(units.tokenOf(unit));
      }
    }
  }

  #onRemoved(job: number): void {
    const clientId = this.#clientIdOf(job);
    if (clientId !== undefined) this.#acknowledged.delete(clientId);
    this.archived.delete(job);
  }

  #clientIdOf(job: number): string | undefined {
    return this.stored.jobs.get(job)?.clientId ?? this.archived.get(job)?.clientId;
  }

  #onGranted(fact: LeasesGranted): void {
    this.copies.onGranted(fact);
    const job = this.stored.jobs.get(fact.job);
    if (job?.paused === true || job?.end !== undefined) {
      throw new Violation('granted-against-orders', `j${fact.job} is paused or over`);
    }
    if (this.stored.agents.get(fact.agentId)?.draining === true) {
      throw new Violation('granted-against-orders', `${fact.agentId} is drained`);
    }
    fact.units.forEach((unit, offset) => {
      const token = (fact.firstToken + offset) as Token;
      if (this.#granted.has(token)) throw new Violation('token-twice', `token ${token} again`);
      this.#granted.add(token);
      if (this.#acceptedUnits.has(where(fact, unit))) {
        throw new Violation(
          'run-twice',
          `an accepted unit was granted again: ${where(fact, unit)}`,
        );
      }
    });
  }

  #onAccepted(fact: ResultsAccepted): void {
    this.copies.onAccepted(fact);
    const units = this.stored.jobs.get(fact.job)?.steps[fact.step]?.units;
    fact.units.forEach((unit, index) => {
      const token = fact.tokens[index] as Token;
      if (units?.stateOf(unit) === UNIT_ACCEPTED) {
        throw new Violation('accepted-twice', where(fact, unit));
      }
      if (units?.tokenOf(unit) !== token) {
        throw new Violation('stale-accepted', `${where(fact, unit)} with token ${token}`);
      }
      if (!this.#succeeded.has(token)) {
        throw new Violation('accepted-without-result', `${where(fact, unit)} with token ${token}`);
      }
      this.accepted.set(token, where(fact, unit));
      this.#acceptedUnits.add(where(fact, unit));
    });
    const files = fact.outputs.flatMap((outputs) => outputs.files);
    const hashes = files.map(({ sha256 }) => sha256);
    this.#checkStored(hashes, where(fact, fact.units[0] ?? 0));
  }

  /** What a commit names is in the blob store. */
  #checkStored(hashes: readonly string[], by: string): void {
    const missing = hashes.find((sha256) => !this.#blobs.has(sha256));
    if (missing === undefined) return;
    throw new Violation('blob-missing', `${by} names ${missing}, which is not stored`);
  }

  #stepOf(fact: { readonly job: number; readonly step: number }): StepRun | undefined {
    return this.stored.jobs.get(fact.job)?.steps[fact.step];
  }

  /** `wasPromised`: the same coordinator said within the hour that it is there. */
  onBlobDeleted(sha256: string, wasPromised: boolean): void {
    this.blobsDeleted += 1;
    if (wasPromised) throw new Violation('blob-swept', `${sha256} within an hour of the question`);
    for (const job of this.stored.jobs.values()) {
      if (!needsBlob(job, sha256)) continue;
      throw new Violation('blob-swept', `${sha256}, which j${job.number} needs`);
    }
    for (const { id, outputs } of this.archived.values()) {
      if (!outputs.some((file) => file.sha256 === sha256)) continue;
      throw new Violation('blob-swept', `${sha256}, which archived ${id} left`);
    }
  }

  /** A run of an agent's program began. */
  onSession(agentId: string, session: string): void {
    this.#sessions.set(agentId, session);
  }

  onFenced(agentId: string, session: string): void {
    if (this.#sessions.get(agentId) !== session) return;
    throw new Violation('locked-out', `${agentId}, whose newest run is refused`);
  }

  #onEnded(fact: LeaseEnded, epoch: number): void {
    this.copies.onEnded(fact);
    this.ends.set(fact.kind, (this.ends.get(fact.kind) ?? 0) + 1);
    const isGivenUp = fact.kind === 'refused' || fact.kind === 'retracted';
    if (isGivenUp && this.custody.holds(fact.agentId, fact.token)) {
      const message = `${where(fact, fact.unit)} was given up as ${fact.kind}, but ${fact.agentId} has it`;
      throw new Violation('freed-while-held', message);
    }
    if (fact.kind === 'stalled' && !this.#hanging.has(fact.token)) {
      throw new Violation('stalled-while-moving', where(fact, fact.unit));
    }
    // Others end because of what an agent said: that it was started again, say.
    const isExpiry = /heartbeat|was not answered/.test(fact.message);
    // What this reign granted itself expires as ever.
    const isInherited = epochOf(fact.token) < epoch;
    if (isExpiry && isInherited && this.#nowMs() < (this.#graceEndsMs.get(epoch) ?? Infinity)) {
      throw new Violation('expired-in-grace', `${where(fact, fact.unit)}: ${fact.message}`);
    }
  }

  /** A program won the election and its listeners are ready. `graceMs` of true time, clock faults taken off. */
  onLeading(epoch: number, program: string, graceMs: number): void {
    this.#checkLeads(epoch, program);
    this.#graceEndsMs.set(epoch, this.#nowMs() + graceMs);
  }

  /** One program speaks in an epoch, and no other ever. */
  #checkLeads(epoch: number, program: string): void {
    const leader = this.#leaders.get(epoch) ?? program;
    this.#leaders.set(epoch, leader);
    if (leader === program) return;
    throw new Violation('two-leaders', `${program} speaks in epoch ${epoch}, which is ${leader}'s`);
  }

  // --- what is said ---------------------------------------------------------------------------

  onGrantSaid(order: GrantOrder, epoch: number, program: string): void {
    this.#checkLeads(epoch, program);
    for (const { token } of order.steps.flatMap((step) => step.leases)) {
      if (!this.#granted.has(token)) {
        throw new Violation('said-before-commit', `grant of token ${token} is not stored`);
      }
    }
  }

  onStopSaid(order: StopOrder): void {
    for (const token of order.tokens) {
      if (this.stored.leases.has(token)) {
        throw new Violation('said-before-commit', `stop of ${token}, which is stored as leased`);
      }
    }
  }

  onSubmitAnswered(command: SubmitJob, answer: Answer): void {
    if (answer.kind !== 'job') return;
    if (this.#clientIdOf(answer.job) !== command.clientId) {
      throw new Violation('said-before-commit', `submit of j${answer.job} is not stored`);
    }
    const before = this.#acknowledged.get(command.clientId);
    if (before !== undefined && before !== answer.job) {
      const message = `${command.clientId} was j${before} and is now j${answer.job}`;
      throw new Violation('acknowledged-lost', message);
    }
    this.#acknowledged.set(command.clientId, answer.job);
  }

  onCancelAnswered(job: number, answer: Answer): void {
    if (answer.kind !== 'job') return;
    if (!this.#cancelled.has(job)) {
      throw new Violation('said-before-commit', `cancel of j${job} is not stored`);
    }
  }

  /** What has room is granted within moments: a watch that must help sees what placement has overlooked. */
  onStallStep({ state, stall }: StallStep): void {
    if (state !== 'noticed' || stall.cause !== 'overlooked') return;
    throw new Violation('overlooked', `${stall.unitId} ${stall.why}, and nothing is granted`);
  }

  /**
   * A coordinator showed a job that had been acknowledged with so many accepted units; undefined: it said
   * that there is no such job.
   */
  onSeen(job: number, accepted: number | undefined): void {
    const stored = acceptedUnits(this.stored.jobs.get(job));
    // One that is archived by now may still be shown as it was.
    const most = stored ?? (job > this.stored.lastJob ? -1 : Infinity);
    if (accepted !== undefined && accepted > most) {
      const message = `j${job} was shown with ${accepted} accepted units, ${stored} are stored`;
      throw new Violation('said-before-commit', message);
    }
    // Also one that was deposed and does not know it yet must not say so: its successor knows more.
    if (accepted === undefined && stored !== undefined) {
      throw new Violation('acknowledged-lost', `j${job} is said not to be there`);
    }
  }

  /** `storedEpoch` is that of the moment in which the question arrived. */
  onVerdictsSaid(command: ReportResults, answer: Answer, epoch: number, storedEpoch: number): void {
    if (answer.kind !== 'verdicts') return;
    command.results.forEach((result, index) => {
      const verdict = answer.verdicts[index];
      const { token } = result;
      if (verdict?.kind === 'accepted' && !this.accepted.has(token)) {
        const kind = this.#isAcceptedOtherwise(result) ? 'stale-accepted' : 'said-before-commit';
        throw new Violation(kind, `token ${token} was told that it is accepted, and is not`);
      }
      // One that lapsed may be resumed by a beat that crossed its failure: the next beat ends it.
      const lease = this.stored.leases.get(token);
      const isResumed = lease?.grantNumber === 0;
      if (verdict?.kind === 'noted' && lease !== undefined && !isResumed) {
        throw new Violation('said-before-commit', `end of ${token} is not stored`);
      }
      if (verdict?.kind !== 'stale') return;
      if (epoch < storedEpoch) {
        const message = `epoch ${epoch} said STALE of ${token} while ${storedEpoch} had begun`;
        throw new Violation('destroyed-without-proof', message);
      }
      this.#checkStale(result);
    });
  }

  /** Whether the result's unit was accepted with another token. */
  #isAcceptedOtherwise({ job, step, unit, token }: ReportedResult): boolean {
    const units = this.#unitsOf(job, step);
    return units?.stateOf(unit) === UNIT_ACCEPTED && units.tokenOf(unit) !== token;
  }

  #checkStale({ job, step, unit, token }: ReportedResult): void {
    const units = this.#unitsOf(job, step);
    const isCurrent = units?.tokenOf(unit) === token || units?.copies.get(unit)?.token === token;
    if (!isCurrent || units.stateOf(unit) === UNIT_CANCELLED) return;
    // Decided while its job had ended, and said when a retry had opened it again.
    if (this.#reopened.has(token)) return;
    const message = `STALE was said of ${token}, a current token of j${job}/${step}/${unit}`;
    throw new Violation('destroyed-without-proof', message);
  }

  #unitsOf(job: number, step: string): UnitTable | undefined {
    return this.stored.jobs.get(job)?.steps.find((other) => other.spec.name === step)?.units;
  }

  onHangs(token: Token): void {
    this.#hanging.add(token);
  }

  onSucceeded(token: Token): void {
    this.#succeeded.add(token);
  }

  // --- what a coordinator thinks ---------------------------------------------------------------

  checkLeader(farm: Farm, liveness: Liveness): void {
    const faults = checkFarm(farm);
    if (faults[0] !== undefined) throw new Violation('farm-inconsistent', faults[0]);
    const bookings = checkBookings(farm, liveness);
    if (bookings[0] !== undefined) throw new Violation('overbooked', bookings[0]);
  }

  /** A coordinator has read the farm, from a snapshot or from the beginning. */
  onLoaded(farm: Farm, sequence: number, snapshotSequence: number): void {
    if (snapshotSequence > 0) this.startsFromSnapshot += 1;
    this.checkFold(farm, sequence);
  }

  /**
   * The farm of one that has read or written the journal up to this sequence, and decided nothing
   * beyond. False when that is not what is stored now, so that there is nothing to compare.
   */
  checkFold(farm: Farm, sequence: number): boolean {
    return this.#folds.check(farm, sequence);
  }

  /** After the faults have healed and all jobs came to an end. */
  checkRest(): void {
    for (const [clientId, job] of this.#acknowledged) {
      if (this.#clientIdOf(job) !== clientId) {
        throw new Violation('acknowledged-lost', `j${job} of ${clientId}`);
      }
    }
    if (this.stored.leases.size > 0 || this.stored.lapsed.size > 0) {
      throw new Violation('leaked', `${this.stored.leases.size} leases are left`);
    }
    for (const agent of this.stored.agents.values()) {
      if (agent.booking.leases === 0 && agent.booking.cpuMillis === 0) continue;
      throw new Violation('leaked', `${agent.id} books ${JSON.stringify(agent.booking)}`);
    }
  }
}

/** Whether an open job, or a failed one that may be retried, cannot do without the blob. */
function needsBlob(job: Job, sha256: string): boolean {
  if (job.end?.state === 'succeeded') {
    return viewOfJob(job).outputs.some((file) => file.sha256 === sha256);
  }
  if (job.end?.state === 'cancelled') return false;
  if (neededBlobs(job.steps.map((step) => step.spec)).includes(sha256)) return true;
  return job.steps.some((step) => {
    const consumers = step.dependents.map((index) => job.steps[index]?.units);
    const isUsedUp =
      consumers.length > 0 && consumers.every((units) => units?.counts.accepted === units?.size);
    if (isUsedUp && consumers.every((units) => units !== undefined)) return false;
    return [...(step.units?.outputs.values() ?? [])].flat().some((file) => file.sha256 === sha256);
  });
}

/** Undefined for no job. */
export function acceptedUnits(job: Job | undefined): number | undefined {
  return job?.steps.reduce((sum, { units }) => sum + (units?.counts.accepted ?? 0), 0);
}

function where(fact: { readonly job: number; readonly step: number }, unit: number): string {
  return `j${fact.job} step ${fact.step} unit ${unit}`;
}
