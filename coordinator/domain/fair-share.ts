/**
 * How much of the farm an owner has and had: what decides whose unit is next among units of one priority.
 *
 * What owners hold now follows from the leases and is the farm's. What they had is soft: it decides nothing but
 * an order, so it is not journaled, and a coordinator that takes over begins with what runs. Times are
 * milliseconds of the monotonic clock.
 */
import type { Demand } from './task.ts';

/** A machine has about so much memory for each core, and a GPU is worth so many of them. */
const RAM_BYTES_OF_CORE = 4 * 2 ** 30;
const VRAM_BYTES_OF_CORE = 2 * 2 ** 30;
const CORES_OF_GPU = 8;
/** What an owner had counts half after so long. */
const HALF_LIFE_MS = 2 * 60 * 60_000;
/** Owners are remembered for what they had until there are so many. */
const MOST_USAGES = 4_096;

/**
 * What a unit costs its owner while it runs, in thousandths of a core: what it takes most of, so that nobody
 * gets a machine's memory for the price of one of its cores. Never 0.
 */
export function priceOf({ cpuMillis, ramBytes, gpus, vramBytes, wholeGpus }: Demand): number {
  const ofRam = Math.floor((ramBytes * 1000) / RAM_BYTES_OF_CORE);
  const ofVram = Math.floor((vramBytes * 1000) / VRAM_BYTES_OF_CORE);
  const ofGpu = wholeGpus === true ? Math.max(ofVram, CORES_OF_GPU * 1000) : ofVram;
  return Math.max(1, cpuMillis, ofRam, gpus * Math.max(1000, ofGpu));
}

interface Usage {
  /** What was held, on average, recent times counting more; in thousandths of a core. */
  readonly averageMillis: number;
  readonly atMs: number;
}

/** By owner. */
export type Usages = Map<string, Usage>;

/** What an owner holds is about to change: until now it was this. */
export function noteUsage(usages: Usages, owner: string, heldMillis: number, nowMs: number): void {
  const averageMillis = averageOf(usages, owner, heldMillis, nowMs);
  // Those of whom nothing was heard for longest are the first.
  usages.delete(owner);
  usages.set(owner, { averageMillis, atMs: nowMs });
  const [oldest] = usages.keys();
  if (usages.size > MOST_USAGES && oldest !== undefined) usages.delete(oldest);
}

/** What the owner had on average up to now, when it has held this much since it was noted last. */
export function averageOf(
  usages: Usages,
  owner: string,
  heldMillis: number,
  nowMs: number,
): number {
  const usage = usages.get(owner);
  if (usage === undefined) return 0;
  const faded = 2 ** (-Math.max(0, nowMs - usage.atMs) / HALF_LIFE_MS);
  return heldMillis + (usage.averageMillis - heldMillis) * faded;
}

/** Whose share is smallest is next. */
export function shareOf(heldMillis: number, averageMillis: number, weight: number): number {
  return (heldMillis + averageMillis) / weight;
}
