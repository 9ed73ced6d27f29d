/**
 * Sees every fact of a simulated year in the moment in which it is stored, knows what units are really like,
 * and says what must not be: a unit accepted twice or without a result, one that failed without fault of its
 * own, a poisonous one that did not, a job without an end.
 */
import type { Fact, LeaseEnded } from '../../../coordinator/domain/facts.ts';
import type { Demand } from '../../../coordinator/domain/task.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import { demandOf, type JobTruth, truthOf, type StepTruth, type UnitTruth } from './unit-truth.ts';

const HOUR_MS = 60 * 60 * 1000;

/** A unit as it stands. */
interface UnitNow {
  readonly truth: UnitTruth;
  readonly kind: string;
  attempts: number;
  /** Since when it could run; undefined while it runs, or cannot yet. */
  readySinceMs: number | undefined;
  accepted: boolean;
  /** What its last lease booked. */
  given: Demand;
}

interface StepNow {
  readonly truth: StepTruth;
  /** Undefined while a fan-out does not know its number of units. */
  units: UnitNow[] | undefined;
  accepted: number;
}

interface JobNow {
  readonly truth: JobTruth;
  readonly submittedMs: number;
  readonly steps: readonly StepNow[];
  isOverdue: boolean;
}

/** What the witness counts. */
export interface Counts {
  jobs: number;
  failedJobs: number;
  units: number;
  attempts: number;
  /** Units that never ran to an end although they could have. */
  innocent: number;
  /** Units that were given up because they were never given the memory they take. */
  starvedOfMemory: number;
  poisoned: number;
}

export interface YearWitnessOptions {
  readonly nowMs: () => number;
  /** What the lease of a token books; undefined when it is over. */
  readonly demandOf: (token: Token) => Demand | undefined;
  readonly complain: (what: string) => void;
}

export class YearWitness {
  readonly counts: Counts = {
    jobs: 0,
    failedJobs: 0,
    units: 0,
    attempts: 0,
    innocent: 0,
    starvedOfMemory: 0,
    poisoned: 0,
  };
  /** Leases that ended without a result, by kind. */
  readonly ends = new Map<string, number>();
  /** How long units waited for a lease, by kind of step. */
  readonly waitsMs = new Map<string, number[]>();
  /** The largest share of its bound that a job took. */
  worstShare = 0;
  readonly #options: YearWitnessOptions;
  readonly #submitted = new Map<string, JobTruth>();
  readonly #jobs = new Map<number, JobNow>();
  readonly #succeeded = new Set<Token>();

  constructor(options: YearWitnessOptions) {
    this.#options = options;
  }

  onSubmit(truth: JobTruth): void {
    this.#submitted.set(truth.clientId, truth);
  }

  onSucceeded(token: Token): void {
    this.#succeeded.add(token);
  }

  truthOf(job: number, step: string, unit: number): UnitTruth {
    const steps = this.#jobs.get(job)?.steps;
    const found = steps?.find(({ truth }) => truth.spec.name === step)?.units?.[unit];
    if (found === undefined) throw new Error(`j${job}/${step}/${unit} was granted and not made`);
    return found.truth;
  }

  get openJobs(): number {
    return this.#jobs.size;
  }

  onStored(facts: readonly Fact[]): void {
    for (const fact of facts) this.#onFact(fact);
  }

  #onFact(fact: Fact): void {
    switch (fact.type) {
      case 'JobSubmitted':
        return this.#onSubmitted(fact.job, fact.clientId);
      case 'UnitsCreated':
        return this.#create(this.#step(fact.job, fact.step), fact.job, fact.count);
      case 'LeasesGranted':
        fact.units.forEach((unit, offset) => {
          this.#onGranted(fact.job, fact.step, unit, (fact.firstToken + offset) as Token);
        });
        return;
      case 'ResultsAccepted':
        fact.units.forEach((unit, index) => {
          this.#onAccepted(fact.job, fact.step, unit, fact.tokens[index] as Token);
        });
        return;
      case 'LeaseEnded':
        return this.#onEnded(fact);
      case 'LeaseResumed':
        this.#unit(fact.job, fact.step, fact.unit).readySinceMs = undefined;
        return;
      case 'JobEnded':
        return this.#onJobEnded(fact.job, fact.succeeded);
      default:
    }
  }

  #onSubmitted(job: number, clientId: string): void {
    const truth = this.#submitted.get(clientId);
    if (truth === undefined) throw new Error(`${clientId} was stored and not submitted`);
    this.counts.jobs += 1;
    const steps = truth.steps.map((step): StepNow => ({
      truth: step,
      units: undefined,
      accepted: 0,
    }));
    const now: JobNow = { truth, submittedMs: this.#options.nowMs(), steps, isOverdue: false };
    this.#jobs.set(job, now);
    for (const step of steps) {
      const kind = step.truth.spec.parameters?.kind;
      if (kind?.$case === 'forEach') continue;
      this.#create(step, job, kind?.$case === 'count' ? kind.value : 1);
    }
  }

  #create(step: StepNow, job: number, count: number): void {
    const truth = this.#jobOf(job).truth;
    const { kind } = step.truth;
    const given = demandOf(step.truth);
    this.counts.units += count;
    step.units = Array.from({ length: count }, (_, unit) => ({
      truth: truthOf(truth, step.truth, unit),
      kind,
      attempts: 0,
      readySinceMs: undefined,
      accepted: false,
      given,
    }));
    this.#unblock(job);
  }

  /** Units whose step waits for no other any more could run from now on. */
  #unblock(job: number): void {
    const { steps } = this.#jobOf(job);
    for (const { truth, units } of steps) {
      const isBlocked = truth.spec.dependsOn.some((name) => {
        const before = steps.find((other) => other.truth.spec.name === name);
        return before?.units === undefined || before.accepted < before.units.length;
      });
      if (isBlocked) continue;
      for (const unit of units ?? []) {
        if (unit.attempts === 0 && !unit.accepted) unit.readySinceMs ??= this.#options.nowMs();
      }
    }
  }

  #onGranted(job: number, step: number, index: number, token: Token): void {
    const unit = this.#unit(job, step, index);
    unit.given = this.#options.demandOf(token) ?? unit.given;
    if (unit.accepted) this.#options.complain(`j${job}/${step}/${index} runs again`);
    unit.attempts += 1;
    this.counts.attempts += 1;
    // A second copy of what runs has not waited.
    if (unit.readySinceMs === undefined) return;
    const waits = this.waitsMs.get(unit.kind) ?? [];
    this.waitsMs.set(unit.kind, waits);
    waits.push(Math.max(0, this.#options.nowMs() - unit.readySinceMs));
    unit.readySinceMs = undefined;
  }

  #onAccepted(job: number, step: number, index: number, token: Token): void {
    const unit = this.#unit(job, step, index);
    const where = `j${job}/${step}/${index}`;
    if (unit.accepted) this.#options.complain(`${where} was accepted twice`);
    if (!this.#succeeded.delete(token)) {
      this.#options.complain(`${where} was accepted with token ${token}, which did not succeed`);
    }
    if (unit.truth.poison !== undefined) {
      this.#options.complain(`${where} is poisonous, and was accepted`);
    }
    unit.accepted = true;
    unit.readySinceMs = undefined;
    const now = this.#step(job, step);
    now.accepted += 1;
    if (now.accepted === now.units?.length) this.#unblock(job);
  }

  #onEnded(fact: LeaseEnded): void {
    const { job, step, kind, next } = fact;
    this.ends.set(kind, (this.ends.get(kind) ?? 0) + 1);
    const unit = this.#unit(job, step, fact.unit);
    if (next.kind === 'queued') {
      const pauseMs = Math.max(0, next.notBeforeMs - fact.atMs);
      unit.readySinceMs = this.#options.nowMs() + pauseMs;
    }
    if (next.kind === 'failed') this.#onUnitFailed(fact, unit);
  }

  #onUnitFailed(fact: LeaseEnded, unit: UnitNow): void {
    const { counts } = this;
    if (unit.truth.poison !== undefined) {
      counts.poisoned += 1;
      return;
    }
    const { truth, given } = unit;
    const isShort = truth.ramBytes > given.ramBytes || truth.vramBytes > given.vramBytes;
    if (isShort && fact.kind.startsWith('out-of-')) {
      counts.starvedOfMemory += 1;
      return;
    }
    counts.innocent += 1;
    this.#options.complain(
      `j${fact.job}/${fact.step}/${fact.unit} (${unit.kind}) was given up without fault of its own after ${unit.attempts} attempts: ${fact.kind}, ${fact.message} on ${fact.agentId}`,
    );
  }

  #onJobEnded(number: number, succeeded: boolean): void {
    const job = this.#jobOf(number);
    if (!succeeded) this.counts.failedJobs += 1;
    const share = this.#tookMs(job) / boundMs(job);
    this.worstShare = Math.max(this.worstShare, share);
    this.#checkDue(number, job);
    this.#jobs.delete(number);
    this.#submitted.delete(job.truth.clientId);
  }

  /** Complains of jobs that should have ended by now. */
  checkOverdue(): void {
    for (const [number, job] of this.#jobs) this.#checkDue(number, job);
  }

  #checkDue(number: number, job: JobNow): void {
    if (job.isOverdue || this.#tookMs(job) <= boundMs(job)) return;
    job.isOverdue = true;
    const kinds = job.steps.map(({ truth }) => truth.kind).join('+');
    const hours = (boundMs(job) / HOUR_MS).toFixed(1);
    this.#options.complain(`j${number} (${kinds}) has not ended within ${hours} h`);
  }

  #tookMs({ submittedMs }: JobNow): number {
    return this.#options.nowMs() - submittedMs;
  }

  #jobOf(number: number): JobNow {
    const job = this.#jobs.get(number);
    if (job === undefined) throw new Error(`j${number} is not open`);
    return job;
  }

  #step(job: number, index: number): StepNow {
    const step = this.#jobOf(job).steps[index];
    if (step === undefined) throw new Error(`j${job} has no step ${index}`);
    return step;
  }

  #unit(job: number, step: number, index: number): UnitNow {
    const unit = this.#step(job, step).units?.[index];
    if (unit === undefined) throw new Error(`j${job}/${step} has no unit ${index}`);
    return unit;
  }
}

/**
 * A job ends within two days (a night and a day of whoever is in front of it, twice), six times the run time
 * of its longest chain of units, and the time that four machines take for all of it.
 */
function boundMs({ steps }: JobNow): number {
  let chainMs = 0;
  let allMs = 0;
  for (const { units = [] } of steps) {
    const runsMs = units.map(({ truth }) => truth.runMs);
    chainMs += Math.max(0, ...runsMs);
    allMs += runsMs.reduce((sum, runMs) => sum + runMs, 0);
  }
  return 48 * HOUR_MS + 6 * chainMs + allMs / 4;
}
