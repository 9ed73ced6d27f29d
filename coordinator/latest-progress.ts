/**
 * How far attempts are that run now. A unit that runs twice has two: it is as far as the one that is further.
 * What is told of an attempt stays until the attempt is over, by what is committed.
 */
import type { Fact } from './domain/facts.ts';
import { unitId } from './domain/farm.ts';
import type { JobView } from './domain/views.ts';

/** How far one attempt is. */
export interface LiveProgress {
  readonly unitId: string;
  readonly attempt: number;
  readonly agentId: string;
  /** 0 to 1. */
  readonly fraction: number;
  readonly counter: number;
  readonly note: string;
}

/** Units of a job whose progress is kept. */
export const MAX_PROGRESS = 2_000;

export class LatestProgress {
  /** By job, unit and attempt. */
  readonly #jobs = new Map<number, Map<string, Map<number, LiveProgress>>>();

  note(job: number, units: readonly LiveProgress[]): void {
    const latest = this.#jobs.get(job) ?? new Map<string, Map<number, LiveProgress>>();
    this.#jobs.set(job, latest);
    for (const unit of units) {
      const attempts = latest.get(unit.unitId) ?? new Map<number, LiveProgress>();
      latest.set(unit.unitId, attempts.set(unit.attempt, unit));
    }
    while (latest.size > MAX_PROGRESS) latest.delete(latest.keys().next().value ?? '');
  }

  /** Attempts that a commit ended. */
  committed({ number, endedAtMs, steps }: JobView, facts: readonly Fact[]): void {
    const latest = this.#jobs.get(number);
    if (latest === undefined) return;
    if (endedAtMs > 0) {
      this.#jobs.delete(number);
      return;
    }
    for (const fact of facts) {
      if (fact.type !== 'LeaseEnded' && fact.type !== 'ResultsAccepted') continue;
      const name = steps[fact.step]?.name ?? '';
      if (fact.type === 'LeaseEnded') {
        latest.get(unitId(number, name, fact.unit))?.delete(fact.attempt);
      } else for (const unit of fact.units) latest.delete(unitId(number, name, unit));
    }
  }

  /** How far the unit is, or its attempt on this agent: 0 to 1; 0 when nothing is known. */
  fractionOf(job: number, unit: string, agentId?: string): number {
    let furthest = 0;
    for (const attempt of this.#jobs.get(job)?.get(unit)?.values() ?? []) {
      if (agentId !== undefined && agentId !== attempt.agentId) continue;
      furthest = Math.max(furthest, attempt.fraction);
    }
    return furthest;
  }
}
