/** How much memory a unit may take, and which one goes when the machine has too little left. Pure. */

const MIB = 1024 * 1024;
/** A unit's demand is what was booked for it; so much beyond it is no harm yet. */
const MARGIN_SHARE = 0.1;
const MARGIN_BYTES = 64 * MIB;
/** With less left than this share of its memory a machine begins to crawl, or to kill at random. */
const FLOOR_SHARE = 1 / 32;
const LEAST_FLOOR_BYTES = 96 * MIB;
const MOST_FLOOR_BYTES = 512 * MIB;
/** As fast as a process can touch new memory, and more. */
const FASTEST_GROWTH_BYTES_A_MS = (4 * 1024 * MIB) / 1_000;
const SHORTEST_PAUSE_MS = 50;
/** A second look tells how fast it grows. */
const SECOND_LOOK_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

/** Why a unit was ended before its time. */
export type MemoryEnd =
  /** It wanted more than it may take. */
  | { readonly cause: 'demand'; readonly usedBytes: number; readonly limitBytes: number }
  /** The machine had too little left, and it was the one with most beyond its demand. */
  | { readonly cause: 'machine'; readonly usedBytes: number; readonly leftBytes: number }
  /** The kernel was faster. */
  | { readonly cause: 'kernel'; readonly usedBytes: number };

/** How a unit's memory stands. */
export interface UnitMemory {
  /** 0 when it demands none: then only the machine bounds it. */
  readonly demandBytes: number;
  readonly usedBytes: number;
  /** Since the look before; 0 or less when it does not grow, null when this is the first look. */
  readonly growthBytesAMs: number | null;
}

/** Bytes; Infinity for a unit that demands none. */
export function limitOf(demandBytes: number): number {
  return demandBytes === 0 ? Infinity : Math.ceil(demandBytes * (1 + MARGIN_SHARE)) + MARGIN_BYTES;
}

/** With less than this left, something must go. */
export function floorOf(totalBytes: number): number {
  return Math.min(MOST_FLOOR_BYTES, Math.max(LEAST_FLOOR_BYTES, totalBytes * FLOOR_SHARE));
}

/** The one that has most beyond its demand; undefined when none has more than it demands. */
export function mostOvergrown<Unit extends UnitMemory>(units: readonly Unit[]): Unit | undefined {
  const beyond = ({ usedBytes, demandBytes }: UnitMemory): number => usedBytes - demandBytes;
  return units
    .filter((unit) => beyond(unit) > 0)
    .reduce<Unit | undefined>(
      (most, unit) => (most === undefined || beyond(unit) > beyond(most) ? unit : most),
      undefined,
    );
}

/**
 * How soon to look again, so that neither a unit at its usual growth passes its limit by much, nor all of
 * them together, as fast as they can grow, use up what the machine has left.
 */
export function pauseBeforeLook(
  units: readonly UnitMemory[],
  machine: { readonly totalBytes: number; readonly leftBytes: number } | null,
): number {
  const room = machine === null ? Infinity : machine.leftBytes - floorOf(machine.totalBytes);
  const untilMachine = room / FASTEST_GROWTH_BYTES_A_MS;
  const untilLimits = units.map(untilLimitMs);
  const soonest = Math.min(LONGEST_PAUSE_MS, untilMachine, ...untilLimits);
  return Math.max(SHORTEST_PAUSE_MS, soonest);
}

function untilLimitMs({ demandBytes, usedBytes, growthBytesAMs }: UnitMemory): number {
  if (growthBytesAMs === null) return SECOND_LOOK_MS;
  if (growthBytesAMs <= 0) return Infinity;
  return (limitOf(demandBytes) - usedBytes) / growthBytesAMs / 2;
}
