/**
 * Agents as a placement pass sees them: what they have, what is booked, and by what they are told apart when
 * units are offered to them (`seat-orders.ts`).
 */
import {
  book as addDemand,
  type Booking,
  type Capacity,
  copyOf,
  fits,
  gpuSizeGib,
  sumOf,
} from './demand.ts';
import type { AgentRecord } from './farm.ts';
import { roomByClass } from './grant-pause.ts';
import type { AgentLiveness } from './liveness.ts';
import type { Size } from './size.ts';

/** One agent that may get units. */
export interface Seat {
  readonly agent: AgentLiveness;
  readonly record: AgentRecord;
  readonly capacity: Capacity;
  /** What is booked, the grants of this pass included. */
  booked: Booking;
  /** False while `booked` is the farm's own. */
  isOwn: boolean;
  /** What it may still get of classes that it had no room for a while ago. */
  readonly roomLeft: Map<string, number> | undefined;
  /** Its largest GPU; 0 when it has none. */
  readonly gpuSizeGib: number;
  readonly ramSizeGib: number;
  /** How full it is: 0 for empty, 1 for no CPU left; leases break ties between equals. */
  load: number;
  /** How full its GPUs are: 0 for idle, 1 for one unit or more on each, 2 for no VRAM left. */
  gpuLoad: number;
}

/** Undefined `ghosts`: nothing runs there that is in no lease. */
export function newSeat(
  agent: AgentLiveness,
  record: AgentRecord,
  capacity: Capacity,
  ghosts: Booking | undefined,
  nowMs: number,
): Seat {
  const isOwn = ghosts !== undefined;
  const booked = isOwn ? sumOf(record.booking, ghosts) : record.booking;
  const roomLeft = roomByClass(agent.roomPauses, record.slots, nowMs);
  let largestGib = 0;
  for (const gpu of capacity.gpus) largestGib = Math.max(largestGib, gpuSizeGib(gpu));
  return {
    agent,
    record,
    capacity,
    booked,
    isOwn,
    roomLeft,
    gpuSizeGib: largestGib,
    ramSizeGib: Math.round(capacity.ramTotalBytes / 2 ** 30),
    load: loadOf(capacity, booked),
    gpuLoad: gpuLoadOf(capacity, booked),
  };
}

/** GPUs on which a unit of this size would run; undefined when it does not fit: `whyNoRoom` says why. */
export function roomOn(seat: Seat, { demand, classKey }: Size): readonly string[] | undefined {
  if ((seat.roomLeft?.get(classKey) ?? 1) <= 0) return undefined;
  const fit = fits(demand, seat.capacity, seat.booked);
  return fit.state === 'fits' ? fit.gpuIds : undefined;
}

/** Why a unit of this size does not fit, in words with figures; undefined when it does. */
export function whyNoRoom(seat: Seat, { demand, classKey }: Size): string | undefined {
  if ((seat.roomLeft?.get(classKey) ?? 1) <= 0) {
    return 'had no room for more units of this kind a moment ago';
  }
  const fit = fits(demand, seat.capacity, seat.booked);
  return fit.state === 'fits' ? undefined : fit.reason();
}

/** Books a unit on a seat. What a pass adds must not be seen in the farm. */
export function bookSeat(seat: Seat, { demand, classKey }: Size, gpuIds: readonly string[]): void {
  if (!seat.isOwn) seat.booked = copyOf(seat.booked);
  seat.isOwn = true;
  addDemand(seat.booked, demand, gpuIds);
  const roomLeft = seat.roomLeft?.get(classKey);
  if (roomLeft !== undefined) seat.roomLeft?.set(classKey, roomLeft - 1);
  seat.load = loadOf(seat.capacity, seat.booked);
  seat.gpuLoad = gpuLoadOf(seat.capacity, seat.booked);
}

function loadOf(capacity: Capacity, booked: Booking): number {
  return booked.cpuMillis / Math.max(1, capacity.cpuMillis) + booked.leases / 100_000;
}

/** An idle GPU before one that is shared, whatever is left on that. */
function gpuLoadOf({ gpus }: Capacity, { vramBytes, gpuShares }: Booking): number {
  if (gpus.length === 0 || gpuShares.size === 0) return 0;
  let load = 0;
  for (const { id, vramTotalBytes } of gpus) {
    if (!gpuShares.has(id)) continue;
    load += 1 + (vramBytes.get(id) ?? 0) / Math.max(1, vramTotalBytes);
  }
  return load / gpus.length;
}
