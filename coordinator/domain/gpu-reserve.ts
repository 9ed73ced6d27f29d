/**
 * CPUs and memory of a box with an idle GPU are for units that need a GPU, as long as such wait: who needs none
 * gets there what leaves room for one of them. An idle GPU is worth more than the cores beside it.
 */
import { book, copyOf, emptyBooking, fits, type GpuCapacity } from './demand.ts';
import type { Hunger } from './holds.ts';
import type { Seat } from './seats.ts';
import type { Demand } from './task.ts';

/** Who the GPU waits for, when a unit of no GPU and this priority would take what they need beside it. */
export function gpuKeptFor(
  hunger: ReadonlyMap<string, Hunger>,
  seat: Seat,
  demand: Demand,
  priority: number,
): Hunger | undefined {
  if (demand.gpus > 0 || hunger.size === 0 || !hasIdleGpu(seat)) return undefined;
  const after = copyOf(seat.booked);
  book(after, demand, []);
  for (const [classKey, hungry] of hunger) {
    if (hungry.demand.gpus === 0 || hungry.priority < priority) continue;
    if ((seat.roomLeft?.get(classKey) ?? 1) <= 0) continue;
    if (fits(hungry.demand, seat.capacity, after).state === 'fits') continue;
    if (fits(hungry.demand, seat.capacity, emptyBooking()).state !== 'fits') continue;
    if (!lacksOnlyWhat(demand, hungry.demand, seat)) continue;
    return hungry;
  }
  return undefined;
}

/** Whoever waits for a GPU that is at work, or for a session of its encoder, is not helped by idle CPUs. */
function lacksOnlyWhat(taken: Demand, hungry: Demand, { capacity, booked }: Seat): boolean {
  const unless = (isTaken: number, wanted: number): number => (isTaken > 0 ? 0 : wanted);
  const others: Demand = {
    ...hungry,
    cpuMillis: unless(taken.cpuMillis, hungry.cpuMillis),
    ramBytes: unless(taken.ramBytes, hungry.ramBytes),
    scratchBytes: unless(taken.scratchBytes, hungry.scratchBytes),
    encoderSessions: unless(taken.encoderSessions, hungry.encoderSessions),
  };
  // Every unit takes one of the places that an owner allows.
  return fits(others, capacity, { ...booked, leases: 0 }).state === 'fits';
}

/** Why a unit that fits a seat does not get it, in words; undefined when it does. */
export function whyKeptForGpu(
  hunger: ReadonlyMap<string, Hunger>,
  seat: Seat,
  demand: Demand,
  priority: number,
): string | undefined {
  const hungry = gpuKeptFor(hunger, seat, demand, priority);
  return hungry && `has an idle GPU, and ${hungry.waits} waits for the CPUs and memory beside it`;
}

function hasIdleGpu({ gpuSizeGib, capacity, booked }: Seat): boolean {
  const { gpuShares } = booked;
  const isIdle = ({ id, unusableReason }: GpuCapacity): boolean =>
    unusableReason === undefined && !gpuShares.has(id);
  return gpuSizeGib > 0 && capacity.gpus.some(isIdle);
}
