/**
 * Keeps what is known of agents in step with the facts. Called for each fact before it is applied,
 * while the farm still knows the leases that it ends.
 */
import { noteFailure, noteSuccess } from './agent-trust.ts';
import { jobOf, stepOf } from './find.ts';
import type { EndKind, Fact, LeaseEnded } from './facts.ts';
import { noteUsage } from './fair-share.ts';
import { type Farm, type Lease, type Slot, unitIdOf } from './farm.ts';
import { noteNoRoom, placesBooked } from './grant-pause.ts';
import { unwatchLease, watchLease } from './lease-watch.ts';
import type { AgentLiveness, Liveness } from './liveness.ts';
import { noteSilentLoss } from './losses.ts';
import { noteDone, noteGivenBack, noteGranted, type Paces, paceKeyOf } from './pace.ts';
import { clearSharedTrouble, isShared } from './shared-trouble.ts';
import type { Token } from './token.ts';

/** Ends that the agent did not report itself: a process may still run. */
const NOT_REPORTED: ReadonlySet<EndKind> = new Set(['lost', 'expired', 'stalled', 'cancelled']);

/** Ends of leases that did not begin. */
const GIVEN_BACK: ReadonlySet<EndKind> = new Set(['refused', 'retracted']);

export function track(liveness: Liveness, farm: Farm, fact: Fact, nowMs: number): void {
  if ('job' in fact) noteUsageOf(liveness, farm, fact.job, nowMs);
  switch (fact.type) {
    case 'LeasesGranted':
      fact.units.forEach((_, offset) => {
        watchLease(liveness, (fact.firstToken + offset) as Token, nowMs);
      });
      notePace(liveness, farm, fact, (paces, key) =>
        noteGranted(paces, key, fact.units.length, nowMs),
      );
      return;
    case 'LeaseResumed': {
      watchLease(liveness, fact.token, nowMs);
      const agent = liveness.agents.get(fact.agentId);
      if (agent === undefined) return;
      agent.ghosts.delete(fact.token);
      agent.hasStrays = undefined;
      return;
    }
    case 'ResultsAccepted':
      for (const token of fact.tokens) {
        const lease = farm.leases.get(token);
        if (lease !== undefined) unwatchLease(liveness, lease, REPORTED, nowMs);
      }
      liveness.runTimes.noteAccepted(fact.job, stepOf(farm, fact.job, fact.step));
      notePace(liveness, farm, fact, (paces, key) =>
        noteDone(paces, key, fact.tokens.length, nowMs),
      );
      judgeSuccess(liveness, fact.agentId);
      return;
    case 'LeaseEnded':
      judgeFailure(liveness, farm, fact, nowMs);
      if (fact.lost) judgeLoss(liveness, farm, fact);
      endOne(liveness, farm, fact, nowMs);
      notePace(liveness, farm, fact, (paces, key) => {
        if (GIVEN_BACK.has(fact.kind)) noteGivenBack(paces, key);
        else noteDone(paces, key, 1, nowMs);
      });
      return;
    case 'SizesLearned':
      liveness.measuring.learned(fact.sizes.map(({ kind }) => kind));
      liveness.seenMemories.learned(fact.models);
      return;
    case 'JobCancelled':
    case 'JobEnded':
      endAll(liveness, farm, leasesOfJob(farm, fact.job), nowMs);
      for (const step of jobOf(farm, fact.job).steps) liveness.runTimes.forget(fact.job, step);
      return;
    default:
  }
}

function noteUsageOf(liveness: Liveness, farm: Farm, job: number, nowMs: number): void {
  const owner = farm.jobs.get(job)?.owner;
  if (owner === undefined) return;
  noteUsage(liveness.usages, owner, farm.owners.get(owner)?.priceMillis ?? 0, nowMs);
}

const REPORTED = { reported: true, leavesPlace: false };

function judgeSuccess(liveness: Liveness, agentId: string): void {
  const agent = liveness.agents.get(agentId);
  if (agent !== undefined) noteSuccess(agent.trust);
  clearSharedTrouble(liveness.shared);
}

/** What a session that is over had, or does not have any more, it went down with: nobody doubts it. */
function judgeLoss(liveness: Liveness, farm: Farm, fact: LeaseEnded): void {
  const agent = liveness.agents.get(fact.agentId);
  const lease = farm.leases.get(fact.token);
  if (lease === undefined || agent?.session !== lease.session) return;
  if (agent.inventory.has(fact.token)) noteSilentLoss(agent.losses, unitIdOf(farm, fact));
}

function judgeFailure(liveness: Liveness, farm: Farm, fact: LeaseEnded, nowMs: number): void {
  const { agentId, kind, message } = fact;
  const agent = liveness.agents.get(agentId);
  if (agent === undefined) return;
  if (kind === 'infrastructure' && ranOnIllGpu(farm, fact, agent)) return;
  const { shared } = liveness;
  if (kind === 'infrastructure' && isShared(shared, agentId, message, nowMs)) {
    for (const id of shared.reports.keys()) {
      const other = liveness.agents.get(id);
      if (other !== undefined) noteSuccess(other.trust);
    }
    return;
  }
  const { name } = stepOf(farm, fact.job, fact.step).spec;
  const unit = unitIdOf(farm, fact);
  const strike = { stepKey: paceKeyOf(fact.job, name), kind, message };
  const goesWellElsewhere = (key: string): boolean => succeedsElsewhere(liveness, agentId, key);
  noteFailure(agent.trust, unit, strike, goesWellElsewhere, nowMs);
}

/** Then the GPU alone is at fault: it gets nothing while it is ill, and the rest of its box is well. */
function ranOnIllGpu(farm: Farm, { token }: LeaseEnded, { capacity }: AgentLiveness): boolean {
  const gpuIds = farm.leases.get(token)?.gpuIds ?? [];
  return (capacity?.gpus ?? []).some(
    ({ id, unusableReason }) => unusableReason !== undefined && gpuIds.includes(id),
  );
}

/** Asked only of agents in doubt: it looks at all others. */
function succeedsElsewhere(liveness: Liveness, agentId: string, stepKey: string): boolean {
  for (const [id, { paces }] of liveness.agents) {
    if (id !== agentId && paces.get(stepKey)?.runMs !== undefined) return true;
  }
  return false;
}

function notePace(
  liveness: Liveness,
  farm: Farm,
  fact: { readonly agentId: string; readonly job: number; readonly step: number },
  note: (paces: Paces, key: string) => void,
): void {
  const agent = liveness.agents.get(fact.agentId);
  if (agent === undefined) return;
  note(agent.paces, paceKeyOf(fact.job, stepOf(farm, fact.job, fact.step).spec.name));
}

function endOne(liveness: Liveness, farm: Farm, fact: LeaseEnded, nowMs: number): void {
  const lease = farm.leases.get(fact.token);
  if (lease === undefined) return;
  const { booked, held } = lease.slot;
  // Where others wait, one of them takes its place.
  const end = { reported: !NOT_REPORTED.has(fact.kind), leavesPlace: held <= booked };
  unwatchLease(liveness, lease, end, nowMs);
  if (GIVEN_BACK.has(fact.kind) && end.leavesPlace) notePlaceUnused(liveness, farm, lease, nowMs);
  if (fact.kind === 'expired') releaseGrant(liveness, farm, fact);
}

/** A place was booked for it, and it did not begin there. A pause asks back what has room, too. */
function notePlaceUnused(liveness: Liveness, farm: Farm, lease: Lease, nowMs: number): void {
  const agent = liveness.agents.get(lease.agentId);
  if (agent === undefined || agent.session !== lease.session) return;
  if (jobOf(farm, lease.job).paused) return;
  const { classKey } = lease.slot;
  const slots = farm.agents.get(lease.agentId)?.slots ?? new Map<string, Slot>();
  noteNoRoom(agent.roomPauses, classKey, placesBooked(slots, classKey) - 1, nowMs);
}

/** All leases of a job at once: of each slot so many may still run as it books. */
function endAll(liveness: Liveness, farm: Farm, leases: readonly Lease[], nowMs: number): void {
  const places = new Map<Slot, number>();
  for (const lease of leases) {
    const left = places.get(lease.slot) ?? lease.slot.booked;
    const end = { reported: false, leavesPlace: left > 0 };
    const stays = unwatchLease(liveness, lease, end, nowMs);
    places.set(lease.slot, stays ? left - 1 : left);
    notePace(liveness, farm, lease, (paces, key) => noteDone(paces, key, 1, nowMs));
  }
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
      for (const token of [step.units.tokenOf(unit), step.units.copies.get(unit)?.token]) {
        const lease = token === undefined ? undefined : farm.leases.get(token);
        if (lease !== undefined) leases.push(lease);
      }
    }
  }
  return leases;
}
