/**
 * Demand and capacity as vectors of integers, and whether one fits into the other. Booking is exact:
 * what a lease books is what its end gives back.
 */
import {
  atLimit,
  type GpuHolding,
  type Holding,
  shortOfBytes,
  shortOfCpus,
  shortOfGpus,
  shortOfSessions,
  takenGpus,
} from './refusal.ts';
import { allowedBy, lackingWords, type ProgramRules } from './programs.ts';
import type { Demand } from './task.ts';

export const NO_DEMAND: Demand = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
  tickets: {},
};

export interface GpuCapacity {
  /** Stable, such as nvidia's UUID. */
  readonly id: string;
  readonly name: string;
  readonly vramTotalBytes: number;
  /** Used by processes that are not the agent's. */
  readonly vramForeignBytes: number;
  /** Why it gets no units for now; undefined when it may. */
  readonly unusableReason?: string | undefined;
}

/** What an agent advertises. */
export interface Capacity {
  readonly cpuMillis: number;
  readonly ramTotalBytes: number;
  /** Free for units or already used by them. */
  readonly ramAvailableBytes: number;
  readonly scratchFreeBytes: number;
  readonly encoderSessions: number;
  readonly attributes: readonly string[];
  /** What units' programs may do there; undefined of agents that do not know of such rules: anything. */
  readonly programs?: ProgramRules | undefined;
  readonly gpus: readonly GpuCapacity[];
  /** Most leases at once; 0 for no limit but capacity. */
  readonly maxUnits: number;
  /** Most leases that may wait behind running ones; undefined for what the coordinator thinks right. */
  readonly maxWaiting?: number | undefined;
  /** Why its owner lets it take nothing new, in one line; undefined while it may. */
  readonly closedReason?: string | undefined;
}

/** What the leases of one agent book. */
export interface Booking {
  leases: number;
  cpuMillis: number;
  ramBytes: number;
  scratchBytes: number;
  encoderSessions: number;
  /** VRAM booked, by GPU id; a GPU of which none is has no entry. */
  readonly vramBytes: Map<string, number>;
  /** Shares booked, by GPU id; a GPU without leases has no entry. */
  readonly gpuShares: Map<string, number>;
}

/** Of each GPU. Who demands a whole one takes them all, everybody else one: as many as an agent has leases. */
export const GPU_SHARES = 1024;

export function emptyBooking(): Booking {
  return {
    leases: 0,
    cpuMillis: 0,
    ramBytes: 0,
    scratchBytes: 0,
    encoderSessions: 0,
    vramBytes: new Map(),
    gpuShares: new Map(),
  };
}

export function copyOf(booking: Booking): Booking {
  const { vramBytes, gpuShares } = booking;
  return { ...booking, vramBytes: new Map(vramBytes), gpuShares: new Map(gpuShares) };
}

/** All that one or the other books. */
export function sumOf(a: Booking, b: Booking): Booking {
  const sum = copyOf(a);
  sum.leases += b.leases;
  sum.cpuMillis += b.cpuMillis;
  sum.ramBytes += b.ramBytes;
  sum.scratchBytes += b.scratchBytes;
  sum.encoderSessions += b.encoderSessions;
  for (const [id, bytes] of b.vramBytes) shiftOne(sum.vramBytes, id, bytes);
  for (const [id, shares] of b.gpuShares) shiftOne(sum.gpuShares, id, shares);
  return sum;
}

export function book(booking: Booking, demand: Demand, gpuIds: readonly string[]): void {
  shift(booking, demand, gpuIds, 1);
}

export function unbook(booking: Booking, demand: Demand, gpuIds: readonly string[]): void {
  shift(booking, demand, gpuIds, -1);
}

/** What is booked but for so many units of a demand. */
export function bookingWithout(
  booking: Booking,
  demand: Demand,
  gpuIds: readonly string[],
  units: number,
): Booking {
  const rest = copyOf(booking);
  for (let unit = 0; unit < units; unit += 1) unbook(rest, demand, gpuIds);
  return rest;
}

function shift(booking: Booking, demand: Demand, gpuIds: readonly string[], sign: 1 | -1): void {
  booking.leases += sign;
  booking.cpuMillis += sign * demand.cpuMillis;
  booking.ramBytes += sign * demand.ramBytes;
  booking.scratchBytes += sign * demand.scratchBytes;
  booking.encoderSessions += sign * demand.encoderSessions;
  for (const id of gpuIds) {
    shiftOne(booking.vramBytes, id, sign * demand.vramBytes);
    shiftOne(booking.gpuShares, id, sign * sharesOf(demand));
  }
}

function shiftOne(amounts: Map<string, number>, id: string, by: number): void {
  const amount = (amounts.get(id) ?? 0) + by;
  if (amount === 0) amounts.delete(id);
  else amounts.set(id, amount);
}

function sharesOf({ wholeGpus }: Demand): number {
  return wholeGpus === true ? GPU_SHARES : 1;
}

/** Kept free on every GPU for contexts and fragmentation. */
export const VRAM_HEADROOM_BYTES = 256 * 2 ** 20;
/** Kept free on every machine for its system. */
export const RAM_HEADROOM_BYTES = 256 * 2 ** 20;
/** Units that demand nothing still cost the agent something. */
export const MAX_LEASES_PER_AGENT = 1024;

export type Fit =
  | { readonly state: 'fits'; readonly gpuIds: readonly string[] }
  /** The first thing that is short, with figures, in words; a pass asks thousands of agents and none of them why. */
  | { readonly state: 'short'; readonly reason: () => string };

/**
 * Whether one more unit fits beside what is booked. Picks the smallest GPUs that fit, so that large ones
 * stay for whoever needs them, and of those the ones with the fewest units.
 */
export function fits(demand: Demand, capacity: Capacity, booked: Booking): Fit {
  const leaseLimit = capacity.maxUnits === 0 ? MAX_LEASES_PER_AGENT : capacity.maxUnits;
  if (booked.leases >= leaseLimit) return short(() => atLimit(booked.leases));
  for (const attribute of demand.attributes) {
    if (hasAttribute(capacity, attribute)) continue;
    return short(() => lackingWords(lacking(demand, capacity), capacity.programs));
  }
  const cpuFree = capacity.cpuMillis - booked.cpuMillis;
  if (demand.cpuMillis > Math.max(0, cpuFree)) {
    return short(() =>
      shortOfCpus(demand.cpuMillis, { total: capacity.cpuMillis, booked: booked.cpuMillis }),
    );
  }
  const ramFree = usableRamBytes(capacity) - booked.ramBytes;
  if (demand.ramBytes > Math.max(0, ramFree)) {
    return short(() => shortOfBytes('RAM', demand.ramBytes, ramOf(capacity, booked)));
  }
  const scratchFree = capacity.scratchFreeBytes - booked.scratchBytes;
  if (demand.scratchBytes > Math.max(0, scratchFree)) {
    return short(() => {
      const holding = { total: capacity.scratchFreeBytes, booked: booked.scratchBytes };
      return shortOfBytes('scratch disk', demand.scratchBytes, holding);
    });
  }
  if (demand.encoderSessions > Math.max(0, capacity.encoderSessions - booked.encoderSessions)) {
    return short(() => {
      const holding = { total: capacity.encoderSessions, booked: booked.encoderSessions };
      return shortOfSessions(demand.encoderSessions, holding);
    });
  }
  return fitGpus(demand, capacity, booked);
}

function fitGpus(demand: Demand, capacity: Capacity, booked: Booking): Fit {
  if (demand.gpus === 0) return { state: 'fits', gpuIds: [] };
  const mostShares = GPU_SHARES - sharesOf(demand);
  const usable = capacity.gpus.filter((gpu) => gpu.unusableReason === undefined);
  const gpus = usable.map((gpu) => ({
    id: gpu.id,
    size: gpuSizeGib(gpu),
    shares: booked.gpuShares.get(gpu.id) ?? 0,
    free: usableVramBytes(gpu) - (booked.vramBytes.get(gpu.id) ?? 0),
  }));
  const candidates = gpus
    .filter(({ free, shares }) => free >= demand.vramBytes && shares <= mostShares)
    .toSorted(
      (a, b) => a.size - b.size || a.shares - b.shares || b.free - a.free || (a.id < b.id ? -1 : 1),
    );
  if (candidates.length < demand.gpus) {
    return short(() => {
      const roomy = gpus.filter(({ free }) => free >= demand.vramBytes).length;
      if (roomy >= demand.gpus) return takenGpus(demand, roomy - candidates.length, gpus.length);
      const holdings = usable.map((gpu) => vramOf(gpu, booked));
      const ill = capacity.gpus.flatMap(({ name, unusableReason }) =>
        unusableReason === undefined ? [] : [`; ${name} cannot be used: ${unusableReason}`],
      );
      return `${shortOfGpus(demand, holdings, candidates.length)}${ill.join('')}`;
    });
  }
  return { state: 'fits', gpuIds: candidates.slice(0, demand.gpus).map((gpu) => gpu.id) };
}

/** GPUs of one size are alike, whatever a few megabytes of them are used for. */
export function gpuSizeGib({ vramTotalBytes }: GpuCapacity): number {
  return Math.round(vramTotalBytes / 2 ** 30);
}

/** Attributes of the demand that the agent does not have. */
export function lacking({ attributes }: Demand, capacity: Capacity): string[] {
  return attributes.filter((attribute) => !hasAttribute(capacity, attribute));
}

function hasAttribute({ attributes, programs }: Capacity, attribute: string): boolean {
  return allowedBy(programs, attribute) ?? attributes.includes(attribute);
}

function ramOf({ ramTotalBytes, ramAvailableBytes }: Capacity, { ramBytes }: Booking): Holding {
  const others = Math.max(0, ramTotalBytes - ramAvailableBytes);
  return { total: ramTotalBytes, others, booked: ramBytes, kept: RAM_HEADROOM_BYTES };
}

function vramOf(gpu: GpuCapacity, { vramBytes }: Booking): GpuHolding {
  const { id, name, vramTotalBytes: total, vramForeignBytes: others } = gpu;
  return { name, total, others, booked: vramBytes.get(id) ?? 0, kept: VRAM_HEADROOM_BYTES };
}

/** The agent as it would be if neither units nor others used it, and all of it were well. */
export function whenEmpty(capacity: Capacity): Capacity {
  return {
    ...capacity,
    ramAvailableBytes: capacity.ramTotalBytes,
    gpus: capacity.gpus.map((gpu) => ({
      ...gpu,
      vramForeignBytes: 0,
      unusableReason: undefined,
    })),
  };
}

export function usableRamBytes(capacity: Capacity): number {
  return Math.min(capacity.ramTotalBytes, capacity.ramAvailableBytes) - RAM_HEADROOM_BYTES;
}

export function usableVramBytes(gpu: GpuCapacity): number {
  return gpu.vramTotalBytes - gpu.vramForeignBytes - VRAM_HEADROOM_BYTES;
}

/** Units with the same key are placed alike. */
export function classKeyOf(demand: Demand): string {
  return [
    demand.cpuMillis,
    demand.ramBytes,
    demand.gpus,
    demand.vramBytes,
    demand.scratchBytes,
    demand.encoderSessions,
    JSON.stringify(demand.attributes.toSorted()),
    ...(demand.wholeGpus === true ? ['whole'] : []),
    ...ticketsOf(demand).map(([name, count]) => `${name}=${count}`),
  ].join(' ');
}

/** In the order of their names. */
export function ticketsOf({ tickets }: Demand): [name: string, count: number][] {
  return Object.entries(tickets)
    .filter(([, count]) => count > 0)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Rounded down: what is offered must not look larger than it is. */
export function gib(bytes: number): string {
  return `${(Math.floor((Math.max(0, bytes) / 2 ** 30) * 10) / 10).toFixed(1)} GiB`;
}

function short(reason: () => string): Fit {
  return { state: 'short', reason };
}
