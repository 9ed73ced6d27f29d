/** Which leases are watched, and what of those that ended may still run on its agent: it stays booked. */
import { book, type Booking, emptyBooking } from './demand.ts';
import type { Farm, Lease } from './farm.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';
import type { Token } from './token.ts';

/** Short units are over by then, and nothing is due sooner. */
const FIRST_LOOK_MS = 1_000;

/** A lease was granted or, after a restart, found. */
export function watchLease(liveness: Liveness, token: Token, nowMs: number): void {
  liveness.leases.set(token, {
    sinceMs: nowMs,
    running: false,
    runningSinceMs: undefined,
    waited: false,
  });
  liveness.looks.set(token, nowMs + Math.min(FIRST_LOOK_MS, liveness.leaseTtlMs));
}

/**
 * A lease is about to leave the book. What still runs on its agent stays booked until the inventory
 * no longer lists it; a reported result is the agent's word that nothing runs any more. Answers whether
 * it stays booked.
 */
export function unwatchLease(
  liveness: Liveness,
  lease: Lease,
  end: { readonly reported: boolean; readonly leavesPlace: boolean },
  nowMs: number,
): boolean {
  liveness.leases.delete(lease.token);
  liveness.looks.delete(lease.token);
  const agent = liveness.agents.get(lease.agentId);
  if (agent === undefined) return false;
  if (end.reported) {
    agent.inventory.delete(lease.token);
    return false;
  }
  if (!mayRun(agent, lease, end.leavesPlace)) {
    if (agent.inventory.has(lease.token)) agent.placeless.add(lease.token);
    return false;
  }
  const { grantNumber, gpuIds, slot } = lease;
  agent.ghosts.set(lease.token, { sinceMs: nowMs, grantNumber, demand: slot.demand, gpuIds });
  return true;
}

/**
 * Whether a process of this lease may exist on the agent beyond what stays booked. One that has not begun
 * may begin until it is told: in the place that it books, if nobody takes that over.
 */
function mayRun(agent: AgentLiveness, lease: Lease, leavesPlace: boolean): boolean {
  const held = agent.inventory.get(lease.token);
  if (held?.state === 'running' || held?.state === 'ending') return true;
  if (held !== undefined) return held.state === 'waiting' && leavesPlace;
  return leavesPlace && lease.session === agent.session && lease.grantNumber > agent.grantsHandled;
}

/** What runs on an agent without a current lease. Undefined: there is something of unknown size. */
export function ghostBooking(agent: AgentLiveness, farm: Farm): Booking | undefined {
  const booking = emptyBooking();
  for (const ghost of agent.ghosts.values()) book(booking, ghost.demand, ghost.gpuIds);
  agent.hasStrays ??= listsStrays(agent, farm);
  return agent.hasStrays ? undefined : booking;
}

/** One that waits counts too: it may begin, before it is told that it must not. */
function listsStrays({ inventory, ghosts, placeless }: AgentLiveness, farm: Farm): boolean {
  for (const { state, token } of inventory.values()) {
    if (state === 'finished' || farm.leases.has(token)) continue;
    if (!ghosts.has(token) && !(state === 'waiting' && placeless.has(token))) return true;
  }
  return false;
}
