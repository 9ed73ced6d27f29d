/**
 * What becomes of a unit's two leases while a second copy runs. The first result that decides about the
 * unit ends the other copy, in the same commit; one copy's failure or expiry decides nothing.
 */
import { stepOf, unitsOf } from './find.ts';
import type { ReportedResult } from './commands.ts';
import type { EndKind, Fact, LeaseEnded } from './facts.ts';
import type { Farm, Lease } from './farm.ts';
import type { Token } from './token.ts';
import type { UnitTable } from './unit-table.ts';

/** Whether the end of one of the unit's leases says what becomes of the unit. */
export function decidesAboutUnit(units: UnitTable, unit: number, kind: EndKind): boolean {
  // An input that cannot be read is the same on every agent: there is nothing to wait for.
  return kind === 'invalid-input' || !units.copies.has(unit);
}

/** The token of the unit's other lease; undefined while it has but one. */
export function rivalOf(farm: Farm, { token, job, step, unit }: Lease): Token | undefined {
  return unitsOf(stepOf(farm, job, step)).otherTokenOf(unit, token);
}

/** The same for a result, whose agent may name what it likes. */
export function rivalOfResult(farm: Farm, result: ReportedResult): Token | undefined {
  const steps = farm.jobs.get(result.job)?.steps;
  const units = steps?.find(({ spec }) => spec.name === result.step)?.units;
  return units?.otherTokenOf(result.unit, result.token);
}

/** Leases of the units that these facts close by way of another lease. */
export function beatenBy(farm: Farm, facts: readonly Fact[]): Lease[] {
  return facts.flatMap((fact): readonly Lease[] => {
    if (fact.type === 'ResultsAccepted') {
      const units = unitsOf(stepOf(farm, fact.job, fact.step));
      if (units.copies.size === 0) return [];
      return fact.units.flatMap((unit, index) => {
        const token = fact.tokens[index];
        return token === undefined ? [] : leaseOf(farm, units.otherTokenOf(unit, token));
      });
    }
    if (fact.type !== 'LeaseEnded' || fact.next.kind !== 'failed') return [];
    const units = unitsOf(stepOf(farm, fact.job, fact.step));
    return leaseOf(farm, units.otherTokenOf(fact.unit, fact.token));
  });
}

function leaseOf(farm: Farm, token: Token | undefined): readonly Lease[] {
  const lease = token === undefined ? undefined : farm.leases.get(token);
  return lease === undefined ? [] : [lease];
}

/** The end of a lease whose unit is closed by the other one's result; stands before that result. */
export function endBeaten(lease: Lease, nowMs: number): LeaseEnded {
  const { token, job, step, unit, attempt, agentId } = lease;
  return {
    type: 'LeaseEnded',
    token,
    job,
    step,
    unit,
    attempt,
    agentId,
    kind: 'cancelled',
    message: 'the other copy of the unit was first',
    next: { kind: 'nothing' },
    counts: false,
    lost: false,
    front: false,
    atMs: nowMs,
  };
}
