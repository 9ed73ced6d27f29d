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
import type { Capacity } from '../../coordinator/domain/demand.ts';
import type {
  Fact,
  LeaseEnded,
  LeasesGranted,
  ResultsAccepted,
} from '../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm, type Job, type StepRun } from '../../coordinator/domain/farm.ts';
import { farmImage } from '../../coordinator/domain/farm-image.ts';
import type { Liveness } from '../../coordinator/domain/liveness.ts';
import type { Demand, File, StepSpec } from '../../coordinator/domain/task.ts';
import { epochOf, type Token } from '../../coordinator/domain/token.ts';
import {
  UNIT_ACCEPTED,
  UNIT_CANCELLED,
  type UnitTable,
} from '../../coordinator/domain/unit-table.ts';
import type { CommitRecord } from '../../coordinator/ports.ts';

/** The kinds of promise that can be broken. */
export type ViolationKind =
  | 'farm-inconsistent'
  | 'overbooked'
  | 'fold-differs'
  | 'two-leaders'
  | 'token-twice'
  | 'accepted-twice'
  | 'stale-accepted'
  | 'accepted-without-result'
  | 'run-twice'
  | 'said-before-commit'
  | 'destroyed-without-proof'
  | 'freed-while-held'
  | 'expired-in-grace'
  | 'expired-while-renewed'
  | 'stalled-while-moving'
  | 'locked-out'
  | 'granted-against-orders'
  | 'created-twice'
  | 'blob-swept'
  | 'blob-missing'
  | 'cannot-start'
  | 'acknowledged-lost'
  | 'leaked'
  | 'never-ended'
  | 'crashed';

export class Violation extends Error {
  readonly kind: ViolationKind;

  constructor(kind: ViolationKind, message: string) {
    super(`${kind}: ${message}`);
    this.kind = kind;
  }
}

/** What one agent's machine really holds, by whatever the agent was seen to do. */
export interface Custody {
  readonly state: 'waiting' | 'running';
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
}

export class Witness {
  /** Fold of what is stored, to the byte. */
  readonly stored: Farm = emptyFarm();
  readonly accepted = new Map<Token, string>();
  readonly facts = new Map<Fact['type'], number>();
  startsFromSnapshot = 0;
  blobsDeleted = 0;
  readonly ends = new Map<LeaseEnded['kind'], number>();
  readonly #granted = new Set<Token>();
  readonly #started = new Set<Token>();
  readonly #succeeded = new Set<Token>();
  readonly #hanging = new Set<Token>();
  readonly #acknowledged = new Map<string, number>();
  /** By agent: what its machine holds. */
  readonly custody = new Map<string, Map<Token, Custody>>();
  /** By epoch: true time before which nothing may expire. */
  readonly #graceEndsMs = new Map<number, number>();
  #commits = 0;
  readonly #acceptedUnits = new Set<string>();
  readonly #sessions = new Map<string, string>();
  readonly #nowMs: () => number;
  readonly #blobs: ReadonlySet<string>;

  /** `blobs`: those that are on the blob store's disk. */
  constructor(nowMs: () => number, blobs: ReadonlySet<string>) {
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
    for (const fact of commit.facts) {
      this.facts.set(fact.type, (this.facts.get(fact.type) ?? 0) + 1);
      if (fact.type === 'LeasesGranted') this.#onGranted(fact);
      if (fact.type === 'ResultsAccepted') this.#onAccepted(fact);
      if (fact.type === 'LeaseEnded') this.#onEnded(fact, commit.epoch);
      if (fact.type === 'JobSubmitted') this.#checkStored(inputsOf(fact.steps), `j${fact.job}`);
      if (fact.type === 'UnitsCreated' && this.#stepOf(fact)?.units !== undefined) {
        throw new Violation('created-twice', where(fact, 0));
      }
      apply(this.stored, fact);
    }
  }

  #onGranted(fact: LeasesGranted): void {
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
    this.#checkStored(files, where(fact, fact.units[0] ?? 0));
  }

  /** What a commit names is in the blob store. */
  #checkStored(files: readonly File[], by: string): void {
    const missing = files.find((file) => !this.#blobs.has(file.sha256));
    if (missing === undefined) return;
    throw new Violation('blob-missing', `${by} names ${missing.sha256}, which is not stored`);
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
    this.ends.set(fact.kind, (this.ends.get(fact.kind) ?? 0) + 1);
    if (fact.kind === 'refused' && this.custody.get(fact.agentId)?.has(fact.token) === true) {
      const message = `${where(fact, fact.unit)} was given up as refused, but ${fact.agentId} has it`;
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

  /** A leader's listeners are ready. `graceMs` of true time, clock faults taken off. */
  onLeading(epoch: number, graceMs: number): void {
    this.#graceEndsMs.set(epoch, this.#nowMs() + graceMs);
  }

  // --- what is said ---------------------------------------------------------------------------

  onGrantSaid(order: GrantOrder): void {
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
    if (this.stored.jobs.get(answer.job)?.clientId !== command.clientId) {
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
    if (this.stored.jobs.get(job)?.end?.state !== 'cancelled') {
      throw new Violation('said-before-commit', `cancel of j${job} is not stored`);
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
    if (units?.tokenOf(unit) !== token || units.stateOf(unit) === UNIT_CANCELLED) return;
    const message = `STALE was said of ${token}, the current token of j${job}/${step}/${unit}`;
    throw new Violation('destroyed-without-proof', message);
  }

  #unitsOf(job: number, step: string): UnitTable | undefined {
    return this.stored.jobs.get(job)?.steps.find((other) => other.spec.name === step)?.units;
  }

  // --- what runs ------------------------------------------------------------------------------

  /** An agent's machine holds this lease from now on, waiting or running. */
  onHeld(agentId: string, token: Token, held: Custody, capacity: Capacity): void {
    const all = this.custody.get(agentId) ?? new Map<Token, Custody>();
    this.custody.set(agentId, all);
    all.set(token, held);
    if (held.state === 'running') {
      if (this.#started.has(token)) throw new Violation('run-twice', `token ${token} ran twice`);
      this.#started.add(token);
    }
    const running = [...all.values()].filter((other) => other.state === 'running');
    const excess = excessOf(running, capacity);
    if (excess !== undefined) throw new Violation('overbooked', `${agentId} runs ${excess}`);
    const committed = excessOf([...all.values()], capacity);
    if (committed !== undefined) {
      throw new Violation('overbooked', `${agentId} was given ${committed}`);
    }
  }

  onHangs(token: Token): void {
    this.#hanging.add(token);
  }

  onSucceeded(token: Token): void {
    this.#succeeded.add(token);
  }

  /** The program ended, however: what waited is gone, what ran runs on. */
  onProgramEnded(agentId: string): void {
    const all = this.custody.get(agentId);
    for (const [token, held] of all ?? []) if (held.state === 'waiting') all?.delete(token);
  }

  onReleased(agentId: string, token: Token): void {
    this.custody.get(agentId)?.delete(token);
  }

  // --- what a coordinator thinks ---------------------------------------------------------------

  checkLeader(farm: Farm, liveness: Liveness): void {
    const faults = checkFarm(farm);
    if (faults[0] !== undefined) throw new Violation('farm-inconsistent', faults[0]);
    const bookings = checkBookings(farm, liveness);
    if (bookings[0] !== undefined) throw new Violation('overbooked', bookings[0]);
  }

  /** A coordinator has read the farm, from a snapshot at this sequence or from the beginning. */
  onLoaded(farm: Farm, snapshotSequence: number): void {
    if (snapshotSequence > 0) this.startsFromSnapshot += 1;
    this.checkFold(farm);
  }

  /** Only for a leader of the stored epoch that has nothing decided which is not stored. */
  checkFold(farm: Farm): void {
    const [live, stored] = [farmImage(farm), farmImage(this.stored)];
    if (live === stored) return;
    let at = 0;
    while (live[at] === stored[at]) at += 1;
    const from = Math.max(0, at - 80);
    const message = `live …${live.slice(from, at + 80)} and stored …${stored.slice(from, at + 80)}`;
    throw new Violation('fold-differs', message);
  }

  /** After the faults have healed and all jobs came to an end. */
  checkRest(): void {
    for (const [clientId, job] of this.#acknowledged) {
      if (this.stored.jobs.get(job)?.clientId !== clientId) {
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

function inputsOf(steps: readonly StepSpec[]): File[] {
  return steps.flatMap((step) =>
    step.inputs.flatMap(({ kind }) => (kind?.$case === 'file' ? [kind.value] : [])),
  );
}

/** Whether an open job, or a failed one that may be retried, cannot do without the blob. */
function needsBlob(job: Job, sha256: string): boolean {
  if (job.end !== undefined && job.end.state !== 'failed') return false;
  if (inputsOf(job.steps.map((step) => step.spec)).some((file) => file.sha256 === sha256))
    return true;
  return job.steps.some((step) => {
    const consumers = step.dependents.map((index) => job.steps[index]?.units);
    const isUsedUp =
      consumers.length > 0 && consumers.every((units) => units?.counts.accepted === units?.size);
    if (isUsedUp && consumers.every((units) => units !== undefined)) return false;
    return [...(step.units?.outputs.values() ?? [])].flat().some((file) => file.sha256 === sha256);
  });
}

function where(fact: { readonly job: number; readonly step: number }, unit: number): string {
  return `j${fact.job} step ${fact.step} unit ${unit}`;
}

/** What is more than the machine has, in words, or undefined. */
function excessOf(held: readonly Custody[], capacity: Capacity): string | undefined {
  const sum = (of: (entry: Custody) => number): number =>
    held.reduce((total, entry) => total + of(entry), 0);
  const cpuMillis = sum((entry) => entry.demand.cpuMillis);
  if (cpuMillis > capacity.cpuMillis) return `${cpuMillis} of ${capacity.cpuMillis} CPU millis`;
  const ramBytes = sum((entry) => entry.demand.ramBytes);
  if (ramBytes > capacity.ramTotalBytes) return `${ramBytes} of ${capacity.ramTotalBytes} RAM`;
  if (capacity.maxUnits > 0 && held.length > capacity.maxUnits) {
    return `${held.length} of ${capacity.maxUnits} units`;
  }
  for (const gpu of capacity.gpus) {
    const vramBytes = sum((entry) => (entry.gpuIds.includes(gpu.id) ? entry.demand.vramBytes : 0));
    if (vramBytes > gpu.vramTotalBytes) return `${vramBytes} of ${gpu.vramTotalBytes} on ${gpu.id}`;
  }
  return undefined;
}
