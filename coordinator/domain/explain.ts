/**
 * Why a unit or a job stands where it does. Nothing is kept for it: it is worked out from the farm, and from
 * what agents said last, when somebody asks. The words are in explanation-words.ts.
 */
import { type AgentAnswer, agentAnswers } from './agent-answers.ts';
import { explainFolder } from './explain-folder.ts';
import { type Job, jobId, type Lease, type StepRun, unitId } from './farm.ts';
import { whyHeldBack } from './hold-back.ts';
import { isOnline } from './liveness.ts';
import { startOf, unitsAhead } from './queue-estimate.ts';
import { fractionDone, isWatchedFromStart, remainingMs, type Seen, sinceOf } from './estimates.ts';
import { type Size, sizeOfUnit } from './size.ts';
import { isCalledFor, replacementOf } from './stand-ins.ts';
import { isComplete, isUnblocked } from './tolerance.ts';
import {
  UNIT_ACCEPTED,
  UNIT_CANCELLED,
  UNIT_FAILED,
  UNIT_LEASED,
  UNIT_QUEUED,
  type UnitFailure,
  type UnitTable,
} from './unit-table.ts';

/** A step that must be complete before another starts. */
export interface StepWait {
  readonly step: string;
  readonly accepted: number;
  /** Undefined while a fan-out does not know its number of units. */
  readonly total: number | undefined;
  readonly running: number;
}

/** Where a lease is, and how it goes there. */
export interface Held {
  readonly agentId: string;
  readonly agent: string;
  /** False while it has not begun, as far as is known. */
  readonly isRunning: boolean;
  /** Unix time in milliseconds: when it was granted. */
  readonly sinceMs: number | undefined;
  /** False when it may have begun before `sinceMs`: this coordinator has watched it only from then on. */
  readonly isSinceExact: boolean;
  readonly fraction: number;
  readonly endInMs: number | undefined;
  /** Set when its agent is silent: then the unit goes elsewhere. */
  readonly lostInMs: number | undefined;
}

export type Standing =
  | { readonly state: 'paused' }
  | {
      readonly state: 'blocked';
      readonly by: readonly StepWait[];
      readonly startInMs: number | undefined;
    }
  /** It does the work of another step, and that one has not needed it so far. */
  | { readonly state: 'standby'; readonly standsInFor: string }
  /** `atMs`: Unix time of the next attempt. */
  | { readonly state: 'retrying'; readonly atMs: number; readonly failure: UnitFailure | undefined }
  /** By a limit of its job's or its owner's, or for want of a ticket, whoever has room. */
  | {
      readonly state: 'held-back';
      readonly reason: string;
      readonly failure: UnitFailure | undefined;
    }
  | {
      readonly state: 'waiting';
      readonly size: Size;
      /** Undefined where agents are not heard: a standby's. */
      readonly answers: readonly AgentAnswer[] | undefined;
      /** Units that go before it. */
      readonly ahead: number;
      readonly startInMs: number | undefined;
      readonly failure: UnitFailure | undefined;
      /** Why nothing is granted to anybody just now. */
      readonly grantsNothing: string | undefined;
    }
  | { readonly state: 'held'; readonly leases: readonly Held[] }
  | { readonly state: 'accepted'; readonly agent: string }
  /** `instead`: the step that does the work of its step; undefined where none does. */
  | {
      readonly state: 'failed';
      readonly failure: UnitFailure | undefined;
      readonly instead: string | undefined;
    }
  /** Its step was given up, and that one does its work. */
  | { readonly state: 'given-up'; readonly instead: string }
  | { readonly state: 'cancelled'; readonly reason: string };

/** Units that stand alike. */
export interface Explanation {
  /** A unit's id, or a step's: `j12/encode`. */
  readonly subject: string;
  readonly units: number;
  /** Attempts begun, of a single unit. */
  readonly attempts: number;
  readonly standing: Standing;
}

/** Where one unit stands. */
export function explainUnit(seen: Seen, job: Job, step: StepRun, unit: number): Explanation {
  return {
    subject: unitId(job.number, step.spec.name, unit),
    units: 1,
    attempts: step.units?.attemptsOf(unit) ?? 0,
    standing: new Look(seen, job).standingOf(step, unit),
  };
}

/** A job's steps in their order, each with the ways in which its units stand; what is done is left out. */
export function explainJob(seen: Seen, job: Job): Explanation[] {
  const look = new Look(seen, job);
  if (job.recipe === 'folder') return explainFolder(look, job);
  return job.steps.flatMap((step) => explained(look, job, step));
}

/** A step, with the ways in which its units stand. */
export function explainStep(seen: Seen, job: Job, step: StepRun): Explanation[] {
  return explained(new Look(seen, job), job, step);
}

function explained(look: Look, job: Job, step: StepRun): Explanation[] {
  const subject = `${jobId(job.number)}/${step.spec.name}`;
  return look.waysOf(step).map(({ units, standing }) => {
    return { subject, units, attempts: 0, standing };
  });
}

/** Some units of a step, and how they stand. */
export interface Way {
  readonly units: number;
  readonly standing: Standing;
}

/** One look at a job: what its steps have in common is worked out once. */
export class Look {
  readonly #seen: Seen;
  readonly #job: Job;
  #leasesByStep: ReadonlyMap<number, readonly Lease[]> | undefined;
  readonly #answersByClass = new Map<string, readonly AgentAnswer[]>();

  constructor(seen: Seen, job: Job) {
    this.#seen = seen;
    this.#job = job;
  }

  waysOf(step: StepRun): Way[] {
    const { units } = step;
    if (units === undefined) {
      return this.#job.end === undefined ? [{ units: 0, standing: this.#unborn(step) }] : [];
    }
    const { leased, queued, failed, cancelled } = units.counts;
    const [failure] = units.failures.values();
    return [
      ...(leased > 0 ? [{ units: leased, standing: this.#held(this.#leasesOf(step)) }] : []),
      ...(queued > 0 ? this.#waysOfQueued(step, units) : []),
      ...(failed > 0 ? [{ units: failed, standing: this.#failed(step, failure) }] : []),
      ...(cancelled > 0 ? [{ units: cancelled, standing: this.#endOfJob() }] : []),
    ];
  }

  /** Of several steps as one. */
  heldOf(steps: readonly StepRun[]): Standing {
    return this.#held(steps.flatMap((step) => this.#leasesOf(step)));
  }

  standingOf(step: StepRun, unit: number): Standing {
    const { units } = step;
    if (units === undefined) return this.#unborn(step);
    switch (units.stateOf(unit)) {
      case UNIT_QUEUED: {
        const atMs = units.notBeforeMsOf(unit);
        const isDelayed = units.isDelayedAt(unit, this.#seen.now.wallMs);
        return (
          this.#whyNotReady(step) ??
          (isDelayed
            ? { state: 'retrying', atMs, failure: units.failures.get(unit) }
            : this.#waiting(step, unit))
        );
      }
      case UNIT_LEASED: {
        const copy = units.copies.get(unit);
        const tokens = [units.tokenOf(unit), ...(copy === undefined ? [] : [copy.token])];
        return this.#held(tokens.flatMap((token) => this.#seen.farm.leases.get(token) ?? []));
      }
      case UNIT_ACCEPTED: {
        const agent = this.#seen.farm.agentByNumber[units.agentOf(unit) - 1];
        return { state: 'accepted', agent: agent?.name ?? '' };
      }
      case UNIT_FAILED:
        return this.#failed(step, units.failures.get(unit));
      case UNIT_CANCELLED:
        return this.#endOfJob();
    }
  }

  /** Those whose pause is not over stand apart from those that could start. */
  #waysOfQueued(step: StepRun, units: UnitTable): Way[] {
    const { queued } = units.counts;
    const { wallMs } = this.#seen.now;
    const heldUp = this.#whyNotReady(step);
    if (heldUp !== undefined) return [{ units: queued, standing: heldUp }];
    const delayed = units.delayedAt(wallMs);
    const ready = queued - delayed.length;
    const [first] = units.ready(wallMs);
    const [soonest] = delayed;
    const ways: Way[] = [];
    if (first !== undefined) ways.push({ units: ready, standing: this.#waiting(step, first) });
    if (soonest !== undefined) {
      const { notBeforeMs: atMs, unit } = soonest;
      const failure = units.failures.get(unit);
      ways.push({ units: delayed.length, standing: { state: 'retrying', atMs, failure } });
    }
    return ways;
  }

  /** Why placement does not look at the step. */
  #whyNotReady(step: StepRun): Standing | undefined {
    const instead = this.#insteadOf(step);
    if (instead !== undefined) return { state: 'given-up', instead };
    if (!isUnblocked(this.#job, step)) return this.#blocked(step);
    return this.#job.paused ? { state: 'paused' } : undefined;
  }

  #failed(step: StepRun, failure: UnitFailure | undefined): Standing {
    return { state: 'failed', failure, instead: this.#insteadOf(step) };
  }

  #insteadOf(step: StepRun): string | undefined {
    return replacementOf(this.#job, step)?.spec.name;
  }

  #waiting(step: StepRun, unit: number): Standing {
    const seen = this.#seen;
    const { farm, liveness, now, grantsNothing } = seen;
    const size = sizeOfUnit(step, unit);
    const failure = step.units?.failures.get(unit);
    const reason = whyHeldBack(farm, liveness, this.#job, size.demand, now.monotonicMs);
    if (reason !== undefined) return { state: 'held-back', reason, failure };
    const ahead = unitsAhead(seen, this.#job, step, unit);
    const answers = seen.hearsAgents ? this.#answersTo(size) : undefined;
    const isEstimated = answers !== undefined && grantsNothing === undefined;
    const startInMs = isEstimated ? startOf(seen, answers, ahead) : undefined;
    return { state: 'waiting', size, answers, ahead, startInMs, failure, grantsNothing };
  }

  #answersTo(size: Size): readonly AgentAnswer[] {
    const known = this.#answersByClass.get(size.classKey);
    if (known !== undefined) return known;
    const answers = agentAnswers(this.#seen, size);
    this.#answersByClass.set(size.classKey, answers);
    return answers;
  }

  /** Of a step that has no units yet. */
  #unborn(step: StepRun): Standing {
    const { insteadOf } = step.spec;
    return insteadOf === undefined || isCalledFor(this.#job, step)
      ? this.#blocked(step)
      : { state: 'standby', standsInFor: insteadOf };
  }

  #blocked(step: StepRun): Standing {
    const open = step.dependencies.flatMap((index) => {
      const dependency = this.#job.steps[index];
      return dependency === undefined || isComplete(this.#job, dependency) ? [] : [dependency];
    });
    const ends = open.flatMap((dependency) => this.#endInMs(dependency) ?? []);
    return {
      state: 'blocked',
      by: open.map(({ spec, units }) => ({
        step: spec.name,
        accepted: units?.counts.accepted ?? 0,
        total: units?.size,
        running: units?.counts.leased ?? 0,
      })),
      startInMs: ends.length === open.length && ends.length > 0 ? Math.max(...ends) : undefined,
    };
  }

  /** When the last of a step's units ends; undefined while some have not begun, or nobody knows. */
  #endInMs(step: StepRun): number | undefined {
    const leases = this.#leasesOf(step);
    if (step.units === undefined || step.units.counts.queued > 0) return undefined;
    const ends = leases.flatMap((lease) => remainingMs(this.#seen, lease) ?? []);
    return ends.length === leases.length && ends.length > 0 ? Math.max(...ends) : undefined;
  }

  #held(leases: readonly Lease[]): Standing {
    return { state: 'held', leases: leases.map((lease) => heldLease(this.#seen, lease)) };
  }

  #endOfJob(): Standing {
    return { state: 'cancelled', reason: this.#job.end?.reason ?? '' };
  }

  #leasesOf(step: StepRun): readonly Lease[] {
    this.#leasesByStep ??= leasesByStep(this.#seen, this.#job);
    return this.#leasesByStep.get(step.index) ?? [];
  }
}

function leasesByStep({ farm }: Seen, job: Job): ReadonlyMap<number, readonly Lease[]> {
  const byStep = new Map<number, Lease[]>();
  for (const lease of farm.leases.values()) {
    if (lease.job !== job.number) continue;
    const leases = byStep.get(lease.step);
    if (leases === undefined) byStep.set(lease.step, [lease]);
    else leases.push(lease);
  }
  return byStep;
}

function heldLease(seen: Seen, lease: Lease): Held {
  const { farm, liveness } = seen;
  return {
    agentId: lease.agentId,
    agent: farm.agents.get(lease.agentId)?.name ?? lease.agentId,
    isRunning: liveness.leases.get(lease.token)?.running ?? false,
    sinceMs: sinceOf(seen, lease)?.wallMs,
    isSinceExact: isWatchedFromStart(seen, lease),
    fraction: fractionDone(seen, lease),
    endInMs: remainingMs(seen, lease),
    lostInMs: lostInMs(seen, lease),
  };
}

/** A silent agent's leases end when their time is over, after a takeover not before its grace is. */
function lostInMs({ liveness, now, hearsAgents }: Seen, { agentId }: Lease): number | undefined {
  const agent = liveness.agents.get(agentId);
  const nowMs = now.monotonicMs;
  if (!hearsAgents || (agent !== undefined && isOnline(liveness, agent, nowMs))) return undefined;
  const expiresMs = (agent?.lastBeatMs ?? nowMs) + liveness.leaseTtlMs;
  return Math.max(0, Math.max(expiresMs, liveness.noExpiryBeforeMs) - nowMs);
}
