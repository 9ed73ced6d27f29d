/**
 * Demand and capacity as vectors of integers, and whether one fits into the other. Booking is exact:
 * what a lease books is what its end gives back.
 */
import type { Demand } from './task.ts';

export const NO_DEMAND: Demand = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
};

export interface GpuCapacity {
  /** Stable, such as nvidia's UUID. */
  readonly id: string;
  readonly name: string;
  readonly vramTotalBytes: number;
  /** Used by processes that are not the agent's. */
  readonly vramForeignBytes: number;
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
  readonly gpus: readonly GpuCapacity[];
  /** Most leases at once; 0 for no limit but capacity. */
  readonly maxUnits: number;
}

/** What the leases of one agent book. */
export interface Booking {
  leases: number;
  cpuMillis: number;
  ramBytes: number;
  scratchBytes: number;
  encoderSessions: number;
  /** VRAM booked, by GPU id; a GPU without leases has no entry. */
  readonly vramBytes: Map<string, number>;
}

export function emptyBooking(): Booking {
  return {
    leases: 0,
    cpuMillis: 0,
    ramBytes: 0,
    scratchBytes: 0,
    encoderSessions: 0,
    vramBytes: new Map(),
  };
}

export function book(booking: Booking, demand: Demand, gpuIds: readonly string[]): void {
  shift(booking, demand, gpuIds, 1);
}

export function unbook(booking: Booking, demand: Demand, gpuIds: readonly string[]): void {
  shift(booking, demand, gpuIds, -1);
}

function shift(booking: Booking, demand: Demand, gpuIds: readonly string[], sign: 1 | -1): void {
  booking.leases += sign;
  booking.cpuMillis += sign * demand.cpuMillis;
  booking.ramBytes += sign * demand.ramBytes;
  booking.scratchBytes += sign * demand.scratchBytes;
  booking.encoderSessions += sign * demand.encoderSessions;
  for (const id of gpuIds) {
    const vram = (booking.vramBytes.get(id) ?? 0) + sign * demand.vramBytes;
    if (vram === 0) booking.vramBytes.delete(id);
    else booking.vramBytes.set(id, vram);
  }
}

/** Kept free on every GPU for contexts and fragmentation. */
export const VRAM_HEADROOM_BYTES = 256 * 2 ** 20;
/** Kept free on every machine for its system. */
export const RAM_HEADROOM_BYTES = 256 * 2 ** 20;
/** Units that demand nothing still cost the agent something. */
export const MAX_LEASES_PER_AGENT = 1024;

export type Fit =
  | { readonly state: 'fits'; readonly gpuIds: readonly string[] }
  /** The first thing that is short, with figures, in words. */
  | { readonly state: 'short'; readonly reason: string };

/** Whether one more unit fits beside what is booked; picks the fullest GPUs that still fit. */
export function fits(demand: Demand, capacity: Capacity, booked: Booking): Fit {
  const leaseLimit = capacity.maxUnits === 0 ? MAX_LEASES_PER_AGENT : capacity.maxUnits;
  if (booked.leases >= leaseLimit) return short(`holds ${booked.leases} units, the most it takes`);
  for (const attribute of demand.attributes) {
    if (!capacity.attributes.includes(attribute)) return short(`lacks ${attribute}`);
  }
  const cpuFree = capacity.cpuMillis - booked.cpuMillis;
  if (demand.cpuMillis > Math.max(0, cpuFree)) {
    return short(`has ${cpuFree / 1000} of ${capacity.cpuMillis / 1000} CPUs free`);
  }
  const ramFree = usableRamBytes(capacity) - booked.ramBytes;
  if (demand.ramBytes > Math.max(0, ramFree)) return short(`has ${gib(ramFree)} RAM free`);
  const scratchFree = capacity.scratchFreeBytes - booked.scratchBytes;
  if (demand.scratchBytes > Math.max(0, scratchFree)) {
    return short(`has ${gib(scratchFree)} scratch disk free`);
  }
  if (demand.encoderSessions > Math.max(0, capacity.encoderSessions - booked.encoderSessions)) {
    return short('has no encoder session free');
  }
  return fitGpus(demand, capacity, booked);
}

function fitGpus(demand: Demand, capacity: Capacity, booked: Booking): Fit {
  if (demand.gpus === 0) return { state: 'fits', gpuIds: [] };
  const candidates = capacity.gpus
    .map((gpu) => ({
      id: gpu.id,
      free: usableVramBytes(gpu) - (booked.vramBytes.get(gpu.id) ?? 0),
    }))
    .filter((gpu) => gpu.free >= demand.vramBytes)
    .toSorted((a, b) => a.free - b.free || (a.id < b.id ? -1 : 1));
  if (candidates.length < demand.gpus) {
    const largest = capacity.gpus.reduce(
      (most, gpu) => Math.max(most, usableVramBytes(gpu) - (booked.vramBytes.get(gpu.id) ?? 0)),
      0,
    );
    return short(`has ${candidates.length} GPUs with enough VRAM free, the most ${gib(largest)}`);
  }
  return { state: 'fits', gpuIds: candidates.slice(0, demand.gpus).map((gpu) => gpu.id) };
}

/** The agent as it would be if neither units nor others used it. */
export function whenEmpty(capacity: Capacity): Capacity {
  return {
    ...capacity,
    ramAvailableBytes: capacity.ramTotalBytes,
    gpus: capacity.gpus.map((gpu) => ({ ...gpu, vramForeignBytes: 0 })),
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
  ].join(' ');
}

/** Rounded down: what is offered must not look larger than it is. */
export function gib(bytes: number): string {
  return `${(Math.floor((Math.max(0, bytes) / 2 ** 30) * 10) / 10).toFixed(1)} GiB`;
}

function short(reason: string): Fit {
  return { state: 'short', reason };
}
