/**
 * Waiting leases: an agent that is quick with a step's units gets more of them than it can run, so that
 * it is never idle for a round trip. They queue behind the running ones of their slot and book nothing.
 *
 * Only units that found no room anywhere are handed out so, to agents that have shown their pace with
 * that step, and at the end of a step in proportion to it.
 */
import { jobOf, stepOf, unitsOf } from './find.ts';
import { bookingWithout, fits } from './demand.ts';
import type { Farm, Slot, StepRun } from './farm.ts';
import { unitsLeftOfJob } from './hold-back.ts';
import type { Keeper } from './holds.ts';
import type { LeaseGroups } from './lease-groups.ts';
import type { AgentLiveness } from './liveness.ts';
import { paceKeyOf, prefillDepth, rateOf } from './pace.ts';
import type { ReadyByOwner, ReadyStep } from './ready-index.ts';
import type { Seat } from './seats.ts';
import { readyOfClass, sizedStep } from './size.ts';
import type { ClassRun, Turns } from './turns.ts';

/** What an agent can be asked to keep in its queue beside what it runs. */
const MAX_WAITING_PER_AGENT = 4_096;
/** So many steps of a class are looked at. */
const MAX_STEPS = 16;

/** Who comes before whom. */
export interface Rank {
  readonly turns: Turns<ClassRun>;
  /** First steps of classes that found no room, by class. */
  readonly waiting: ReadonlyMap<string, ReadyStep>;
  readonly keeper: Keeper;
}

interface Room {
  readonly seat: Seat;
  readonly agent: AgentLiveness;
  readonly slot: Slot;
  readonly rate: number;
  readonly leases: number;
}

export function prefill(
  farm: Farm,
  takers: readonly Seat[],
  groups: LeaseGroups,
  rank: Rank,
  now: { readonly monotonicMs: number; readonly wallMs: number },
): void {
  for (const [classKey, owners] of farm.ready.classes()) {
    const slots = takers.flatMap((taker) => slotsOfClass(taker, classKey));
    if (slots.length === 0) continue;
    for (const ready of firstSteps(owners, rank)) {
      if (groups.isFull) return;
      const step = stepOf(farm, ready.job, ready.step);
      // Those that were given more have failed before: they are placed with care.
      if (step.classKey !== classKey) continue;
      const rooms = roomsFor(ready, step.spec.name, slots, now.monotonicMs);
      const open = rooms.filter((room) => !isOvertaken(farm, ready, step, room, rank));
      if (open.length > 0) handOut(farm, step, ready, open, groups, rank, now);
    }
  }
}

function firstSteps(owners: ReadyByOwner, { turns }: Rank): readonly ReadyStep[] {
  const steps = [...owners.values()].flatMap((ofOwner) => ofOwner.slice(0, MAX_STEPS));
  if (owners.size > 1) steps.sort((a, b) => turns.compare(a, b));
  return steps.slice(0, MAX_STEPS);
}

/** Somebody who comes first waits for a place, and could have that of the units that run here. */
function isOvertaken(
  farm: Farm,
  ready: ReadyStep,
  step: StepRun,
  { seat, slot }: Room,
  { turns, waiting, keeper }: Rank,
): boolean {
  if (keeper.isKept(seat.agent.agentId, ready, step.classKey)) return true;
  return [...waiting].some(([classKey, other]) => {
    if (classKey === step.classKey) return false;
    const { demand } = sizedStep(stepOf(farm, other.job, other.step), classKey);
    // An idle GPU comes before shares and the order of jobs.
    const isForGpu = demand.gpus > 0 && step.demand.gpus === 0 && other.priority >= ready.priority;
    if (!isForGpu && turns.compare(other, ready) >= 0) return false;
    const without = bookingWithout(seat.booked, slot.demand, slot.gpuIds, slot.booked);
    return fits(demand, seat.capacity, without).state === 'fits';
  });
}

interface TakingSlot {
  readonly seat: Seat;
  readonly agent: AgentLiveness;
  readonly slot: Slot;
  /** Leases that may still wait at the agent. */
  readonly free: number;
}

function slotsOfClass(seat: Seat, classKey: string): TakingSlot[] {
  const { agent, record, capacity } = seat;
  const { slots } = record;
  const { maxWaiting } = capacity;
  let waiting = 0;
  for (const slot of slots.values()) waiting += slot.held - slot.booked;
  const free = Math.min(maxWaiting ?? MAX_WAITING_PER_AGENT, MAX_WAITING_PER_AGENT) - waiting;
  if (free <= 0) return [];
  return [...slots.values()].flatMap((slot) =>
    slot.classKey === classKey ? [{ seat, agent, slot, free }] : [],
  );
}

function roomsFor(
  ready: ReadyStep,
  stepName: string,
  slots: readonly TakingSlot[],
  nowMs: number,
): Room[] {
  const key = paceKeyOf(ready.job, stepName);
  return slots.flatMap(({ seat, agent, slot, free }) => {
    const rate = rateOf(agent.paces.get(key), slot.booked, nowMs);
    const depth = Math.min(prefillDepth(rate), free);
    const waiting = slot.held - slot.booked;
    // In bulk: not one lease for each that ends.
    if (waiting * 2 > depth || depth === 0) return [];
    return [{ seat, agent, slot, rate, leases: depth - waiting }];
  });
}

function handOut(
  farm: Farm,
  step: StepRun,
  ready: ReadyStep,
  rooms: readonly Room[],
  groups: LeaseGroups,
  { turns }: Rank,
  now: { readonly wallMs: number },
): void {
  const units = unitsOf(step);
  const { classKey } = step;
  const owner = turns.ownerOf(ready.owner);
  let most = mostFor(farm, ready, groups, owner?.unitsLeft ?? Infinity);
  const left = units.counts.queued - groups.grantedOf(ready);
  const rates = rooms.reduce((sum, { rate }) => sum + rate, 0);
  const source = untried(step, groups, ready, now.wallMs);
  for (const { agent, slot, rate, leases } of rooms) {
    const share = Math.min(leases, Math.ceil((left * rate) / rates));
    for (let n = 0; n < share && !groups.isFull; n += 1) {
      if (most <= 0) return;
      const next = source.next();
      if (next.done === true) return;
      most -= 1;
      if (owner !== undefined) owner.unitsLeft -= 1;
      groups.add({ ready, classKey, agent, gpuIds: slot.gpuIds, waiting: true }, next.value);
    }
  }
}

/** How many units the limits of its job and its owner leave for a step. */
function mostFor(
  farm: Farm,
  { job: number }: ReadyStep,
  groups: LeaseGroups,
  ofOwner: number,
): number {
  const job = jobOf(farm, number);
  return Math.min(ofOwner, unitsLeftOfJob(job) - groups.grantedOfJob(number));
}

/** Queued units that this pass did not take, without those that failed: they are placed with care. */
function* untried(
  step: StepRun,
  groups: LeaseGroups,
  ready: ReadyStep,
  wallMs: number,
): Generator<number> {
  let toSkip = groups.grantedOf(ready);
  const { failures } = unitsOf(step);
  for (const unit of readyOfClass(step, step.classKey, wallMs)) {
    // A pass takes units in the order of the queue.
    if (toSkip > 0) {
      toSkip -= 1;
      continue;
    }
    if (failures.has(unit)) return;
    yield unit;
  }
}
