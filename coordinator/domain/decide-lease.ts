/**
 * What heartbeats and the passing of time mean for leases: adoption, fencing of old sessions, expiry,
 * stall.
 */
import { stepOf, unitsOf } from './apply.ts';
import { decided, type Decision, type Now, type StopOrder } from './decision.ts';
import type { EndKind, Fact, LeaseEnded } from './facts.ts';
import type { Farm, Lease } from './farm.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';
import { endLease } from './retry.ts';
import { epochOf, type Token } from './token.ts';
import { UNIT_QUEUED } from './unit-table.ts';

/** A commit has a size; what is left over is found again at the next beat or tick. */
const MAX_ENDS_AT_ONCE = 1_000;

/** Compares an agent's inventory with the lease book. */
export function decideReview(farm: Farm, liveness: Liveness, agentId: string, now: Now): Decision {
  const agent = liveness.agents.get(agentId);
  if (agent === undefined) return decided([]);
  const ends = endsOfAbsent(farm, liveness, agent, now);
  const { resumed, stop } = reviewInventory(farm, agent, now);
  return {
    facts: [...ends, ...resumed],
    answer: { kind: 'done' },
    barrier: 'fresh',
    stops: stop.length === 0 ? [] : [{ agentId, tokens: stop }],
  };
}

/** Leases that the agent would list if it had them. */
function endsOfAbsent(
  farm: Farm,
  liveness: Liveness,
  agent: AgentLiveness,
  now: Now,
): LeaseEnded[] {
  const ends: LeaseEnded[] = [];
  for (const token of farm.agents.get(agent.agentId)?.leases ?? []) {
    const lease = farm.leases.get(token);
    if (lease === undefined || agent.inventory.has(token)) continue;
    const wasRunning = liveness.leases.get(token)?.running === true;
    const end = endOfAbsent(lease, agent, wasRunning);
    if (end === undefined) continue;
    ends.push(endLease(lease, stepOf(farm, lease.job, lease.step), end, now.wallMs));
    if (ends.length === MAX_ENDS_AT_ONCE) break;
  }
  return ends;
}

function endOfAbsent(
  lease: Lease,
  agent: AgentLiveness,
  wasRunning: boolean,
): { readonly kind: EndKind; readonly message: string } | undefined {
  if (lease.session !== agent.session) {
    const message = 'the agent was started again and does not have it any more';
    return { kind: wasRunning ? 'lost' : 'refused', message };
  }
  // Absence from an inventory says nothing about grants that the agent has not handled yet.
  if (lease.grantNumber > agent.grantsHandled) return undefined;
  return wasRunning
    ? { kind: 'lost', message: 'the agent does not have it any more' }
    : { kind: 'refused', message: 'the agent did not take it' };
}

/** Listed leases: current ones are adopted by being known, lapsed ones go on, others must stop. */
function reviewInventory(
  farm: Farm,
  agent: AgentLiveness,
  now: Now,
): { readonly resumed: readonly Fact[]; readonly stop: readonly Token[] } {
  const resumed: Fact[] = [];
  const stop: Token[] = [];
  for (const held of agent.inventory.values()) {
    if (farm.leases.get(held.token)?.agentId === agent.agentId) continue;
    if (epochOf(held.token) > farm.epoch || held.state === 'ending') continue;
    const lapsed = farm.lapsed.get(held.token);
    if (lapsed?.agentId === agent.agentId && isStillQueued(farm, lapsed)) {
      resumed.push(resumptionOf(lapsed, agent.session, now));
    } else stop.push(held.token);
  }
  return { resumed, stop };
}

function isStillQueued(farm: Farm, lease: Lease): boolean {
  const units = unitsOf(stepOf(farm, lease.job, lease.step));
  return units.stateOf(lease.unit) === UNIT_QUEUED && units.tokenOf(lease.unit) === lease.token;
}

function resumptionOf(lease: Lease, session: string, now: Now): Fact {
  const { token, job, step, unit, agentId, gpuIds } = lease;
  return {
    type: 'LeaseResumed',
    token,
    job,
    step,
    unit,
    agentId,
    session,
    gpuIds,
    atMs: now.wallMs,
  };
}

/** Ends what expired or stands still. */
export function decideTick(farm: Farm, liveness: Liveness, now: Now): Decision {
  const facts: Fact[] = [];
  const stops = new Map<string, Token[]>();
  for (const lease of farm.leases.values()) {
    const step = stepOf(farm, lease.job, lease.step);
    const end =
      expiryOf(lease, liveness, now) ?? stallOf(lease, liveness, step.limits.stallTimeoutMs);
    if (end === undefined) continue;
    facts.push(endLease(lease, step, end, now.wallMs));
    if (end.kind === 'stalled') {
      stops.set(lease.agentId, [...(stops.get(lease.agentId) ?? []), lease.token]);
    }
    if (facts.length === MAX_ENDS_AT_ONCE) break;
  }
  const orders = [...stops].map(([agentId, tokens]): StopOrder => ({ agentId, tokens }));
  return { facts, answer: { kind: 'done' }, barrier: 'decided', stops: orders };
}

type End = { readonly kind: EndKind; readonly message: string } | undefined;

function expiryOf(lease: Lease, liveness: Liveness, now: Now): End {
  if (now.monotonicMs < liveness.noExpiryBeforeMs) return undefined;
  const agent = liveness.agents.get(lease.agentId);
  const watched = liveness.leases.get(lease.token);
  const lastBeatMs = agent?.inventory.has(lease.token) === true ? agent.lastBeatMs : -Infinity;
  const lastSignMs = Math.max(watched?.sinceMs ?? -Infinity, lastBeatMs);
  if (now.monotonicMs - lastSignMs < liveness.leaseTtlMs) return undefined;
  return watched?.running === true
    ? { kind: 'lost', message: `no heartbeat for ${liveness.leaseTtlMs / 1000} s` }
    : { kind: 'expired', message: 'the grant was not answered' };
}

/** Progress is judged by the beats that came, never by silence: that is what expiry is for. */
function stallOf(lease: Lease, liveness: Liveness, stallTimeoutMs: number): End {
  const agent = liveness.agents.get(lease.agentId);
  const held = agent?.inventory.get(lease.token);
  if (agent === undefined || held?.state !== 'running' || stallTimeoutMs === 0) return undefined;
  if (agent.lastBeatMs - held.progressMovedMs < stallTimeoutMs) return undefined;
  return { kind: 'stalled', message: `no progress for ${stallTimeoutMs / 1000} s` };
}
