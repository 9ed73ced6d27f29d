/**
 * Keeps what is known of agents in step with the facts. Called for each fact before it is applied,
 * while the farm still knows the leases that it ends.
 */
import { jobOf, stepOf } from './apply.ts';
import type { EndKind, Fact, LeaseEnded } from './facts.ts';
import type { Farm, Lease } from './farm.ts';
import { type Liveness, unwatchLease, watchLease } from './liveness.ts';
import type { Token } from './token.ts';

/** Ends that the agent did not report itself: a process may still run. */
const NOT_REPORTED: ReadonlySet<EndKind> = new Set(['lost', 'expired', 'stalled', 'cancelled']);

export function track(liveness: Liveness, farm: Farm, fact: Fact, nowMs: number): void {
  switch (fact.type) {
    case 'LeasesGranted':
      fact.units.forEach((_, offset) => {
        watchLease(liveness, (fact.firstToken + offset) as Token, nowMs);
      });
      return;
    case 'LeaseResumed':
      watchLease(liveness, fact.token, nowMs);
      liveness.agents.get(fact.agentId)?.ghosts.delete(fact.token);
      return;
    case 'ResultsAccepted':
      for (const token of fact.tokens) {
        release(liveness, farm, farm.leases.get(token), true, nowMs);
      }
      return;
    case 'LeaseEnded':
      release(liveness, farm, farm.leases.get(fact.token), !NOT_REPORTED.has(fact.kind), nowMs);
      if (fact.kind === 'expired') releaseGrant(liveness, farm, fact);
      return;
    case 'JobCancelled':
    case 'JobEnded':
      for (const lease of leasesOfJob(farm, fact.job)) {
        release(liveness, farm, lease, false, nowMs);
      }
      return;
    default:
  }
}

function release(
  liveness: Liveness,
  farm: Farm,
  lease: Lease | undefined,
  reported: boolean,
  nowMs: number,
): void {
  if (lease === undefined) return;
  unwatchLease(liveness, lease, stepOf(farm, lease.job, lease.step).demand, reported, nowMs);
}

/** The agent is told that the grant is void, so that it cannot start later what we gave up. */
function releaseGrant(liveness: Liveness, farm: Farm, fact: LeaseEnded): void {
  const lease = farm.leases.get(fact.token);
  const agent = liveness.agents.get(fact.agentId);
  if (lease === undefined || agent?.session !== lease.session) return;
  if (lease.grantNumber > agent.grantsHandled) {
    agent.releasedGrant = Math.max(agent.releasedGrant, lease.grantNumber);
  }
}

/** Current leases of a job, in the order of its units. */
export function leasesOfJob(farm: Farm, number: number): Lease[] {
  const leases: Lease[] = [];
  for (const step of jobOf(farm, number).steps) {
    if (step.units === undefined || step.units.counts.leased === 0) continue;
    for (let unit = 0; unit < step.units.size; unit += 1) {
      const lease = farm.leases.get(step.units.tokenOf(unit));
      if (lease !== undefined) leases.push(lease);
    }
  }
  return leases;
}
