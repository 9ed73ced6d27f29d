/**
 * The leases of the farm and what they book: in slots of agents, of tickets, and on owners' accounts.
 *
 * Always holds: a slot exists while it holds leases, and books no more of them than it holds.
 */
import { book, emptyBooking, unbook } from './demand.ts';
import {
  type AgentRecord,
  type Farm,
  type Lease,
  type LeaseRecord,
  type Slot,
  slotKeyOf,
  type StepRun,
} from './farm.ts';
import { jobOf, unitsOf } from './find.ts';
import { bookTickets, chargeLease, unbookTickets } from './sharing.ts';
import type { Size } from './size.ts';
import type { Token } from './token.ts';

/**
 * Puts a lease into the book. One that waits behind none runs, whatever was thought of it. `running`: it had
 * begun before, so that it takes what it takes.
 */
export function addLease(
  farm: Farm,
  size: Size,
  record: LeaseRecord,
  how: 'granted' | 'waiting' | 'running',
): void {
  const agent = enlistAgent(farm, record.agentId);
  const slot = slotOf(agent, size, record.gpuIds);
  const { token, job, unit, attempt, agentId, session, grantNumber, gpuIds } = record;
  const { step: index } = record;
  // One literal: a million of these may come and go in a minute, and images compare key by key.
  farm.leases.set(token, {
    token,
    job,
    step: index,
    unit,
    attempt,
    agentId,
    session,
    grantNumber,
    gpuIds,
    slot,
  });
  agent.leases.add(token);
  chargeLease(farm, slot, jobOf(farm, job).owner, 1, () => {
    slot.held += 1;
    if (how === 'waiting' && slot.booked > 0) return;
    slot.booked += 1;
    book(agent.booking, slot.demand, slot.gpuIds);
    bookTickets(farm, slot.demand, how !== 'granted');
  });
}

function slotOf(agent: AgentRecord, size: Size, gpuIds: readonly string[]): Slot {
  const key = slotKeyOf(size.classKey, gpuIds);
  const known = agent.slots.get(key);
  if (known !== undefined) return known;
  const { classKey, demand } = size;
  const slot: Slot = { key, classKey, demand, gpuIds, heldBy: new Map(), booked: 0, held: 0 };
  agent.slots.set(key, slot);
  return slot;
}

/** Takes a lease out of the book, and gives back what it booked; undefined when it is not there. */
export function removeLease(farm: Farm, token: Token): Lease | undefined {
  const lease = farm.leases.get(token);
  if (lease === undefined) return undefined;
  const agent = enlistAgent(farm, lease.agentId);
  farm.leases.delete(token);
  agent.leases.delete(token);
  const { slot } = lease;
  chargeLease(farm, slot, jobOf(farm, lease.job).owner, -1, () => {
    slot.held -= 1;
    // Its place is taken by one that waited, if there is one.
    if (slot.booked <= slot.held) return;
    slot.booked -= 1;
    unbook(agent.booking, slot.demand, slot.gpuIds);
    unbookTickets(farm, slot.demand);
  });
  if (slot.held === 0) agent.slots.delete(slot.key);
  return lease;
}

/** The agent's record, made at its first mention. */
export function enlistAgent(farm: Farm, agentId: string): AgentRecord {
  const known = farm.agents.get(agentId);
  if (known !== undefined) return known;
  const record: AgentRecord = {
    id: agentId,
    number: farm.agentByNumber.length + 1,
    name: agentId,
    version: '',
    draining: false,
    policy: undefined,
    key: undefined,
    revokedAtMs: 0,
    leases: new Set(),
    slots: new Map(),
    booking: emptyBooking(),
  };
  farm.agents.set(agentId, record);
  farm.agentByNumber.push(record);
  return record;
}

/** All leases of the step's open units, also those that lapsed. */
export function releaseLeases(farm: Farm, step: StepRun): void {
  const units = unitsOf(step);
  for (let unit = 0; unit < units.size; unit += 1) {
    if (!units.isOpen(unit)) continue;
    const token = units.tokenOf(unit);
    removeLease(farm, token);
    farm.lapsed.delete(token);
    const copy = units.copies.get(unit);
    if (copy !== undefined) removeLease(farm, copy.token);
  }
}

/** Whether the agent holds a lease of this attempt, the unit's first one or its copy's. */
export function isUnderLease(
  farm: Farm,
  job: number,
  stepName: string,
  { unit, attempt, agentId }: Pick<LeaseRecord, 'unit' | 'attempt' | 'agentId'>,
): boolean {
  const step = farm.jobs.get(job)?.steps.find(({ spec }) => spec.name === stepName);
  if (step?.units === undefined || unit >= step.units.size) return false;
  for (const token of [step.units.tokenOf(unit), step.units.copies.get(unit)?.token]) {
    const lease = token === undefined ? undefined : farm.leases.get(token);
    if (lease?.attempt === attempt && lease.agentId === agentId) return true;
  }
  return false;
}
