/**
 * What must hold of a unit's two leases, by the stored facts alone: two at most, on two agents; while both
 * run, the end of one neither queues the unit again nor counts; a result ends both in one commit.
 */
import type { LeaseEnded, LeasesGranted, ResultsAccepted } from '../../coordinator/domain/facts.ts';
import type { Farm, Lease } from '../../coordinator/domain/farm.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { Violation } from './violation.ts';

/** What became of second copies. */
export interface CopyCounts {
  granted: number;
  /** Their result was accepted. */
  won: number;
  /** The first lease's result was accepted. */
  beaten: number;
  /** One of two ended, and the other went on. */
  lone: number;
}

export class CopyCheck {
  readonly counts: CopyCounts = { granted: 0, won: 0, beaten: 0, lone: 0 };
  /** Fold of what is stored, before the fact that is told of. */
  readonly #stored: Farm;
  readonly #copies = new Set<Token>();

  constructor(stored: Farm) {
    this.#stored = stored;
  }

  onGranted(fact: LeasesGranted): void {
    fact.units.forEach((unit, offset) => {
      const leases = this.#leasesOf(fact, unit);
      if (leases.length !== (fact.copy ? 1 : 0)) {
        const message = `${where(fact, unit)} has ${leases.length} leases already`;
        throw new Violation('copied-wrongly', message);
      }
      if (leases.some(({ agentId }) => agentId === fact.agentId)) {
        throw new Violation('copied-wrongly', `${where(fact, unit)} runs on ${fact.agentId}`);
      }
      if (!fact.copy) return;
      this.counts.granted += 1;
      this.#copies.add((fact.firstToken + offset) as Token);
    });
  }

  onEnded(fact: LeaseEnded): void {
    const { token, unit, next, counts, lost, kind } = fact;
    if (this.#leasesOf(fact, unit).length < 2) return;
    if (next.kind !== 'nothing' || counts || lost) {
      const message = `${where(fact, unit)} is decided by the end of ${token} as ${kind}`;
      throw new Violation('decided-beside-copy', message);
    }
    if (kind !== 'cancelled') this.counts.lone += 1;
    else if (this.#copies.has(token)) this.counts.beaten += 1;
  }

  onAccepted(fact: ResultsAccepted): void {
    fact.units.forEach((unit, index) => {
      const token = fact.tokens[index];
      if (token !== undefined && this.#copies.has(token)) this.counts.won += 1;
      const other = this.#leasesOf(fact, unit).find((lease) => lease.token !== token);
      if (other === undefined) return;
      const message = `${where(fact, unit)} is accepted, and ${other.token} goes on`;
      throw new Violation('decided-beside-copy', message);
    });
  }

  #leasesOf(fact: { readonly job: number; readonly step: number }, unit: number): Lease[] {
    return [...this.#stored.leases.values()].filter(
      (lease) => lease.job === fact.job && lease.step === fact.step && lease.unit === unit,
    );
  }
}

function where(fact: { readonly job: number; readonly step: number }, unit: number): string {
  return `j${fact.job} step ${fact.step} unit ${unit}`;
}
