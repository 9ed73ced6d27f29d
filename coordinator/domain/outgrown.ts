/**
 * What a unit is given next that ran out of memory: half as much again as it was seen to take. Outside its
 * retry count, and only as long as some agent could give that much.
 */
import { type Booking, type Capacity, gib, usableRamBytes, usableVramBytes } from './demand.ts';
import type { EndKind } from './facts.ts';
import type { AgentLiveness } from './liveness.ts';
import { misfitOf } from './misfit.ts';
import { type Growth, withMemory } from './size.ts';
import type { Demand } from './task.ts';

/** Less where no box has so much: a little more may do. */
const FACTORS = [1.5, 1.25, 1.1] as const;
/** What was not enough twice was far from it: nobody saw more than the limit at which it was ended. */
const FACTORS_AGAIN = [2.5, ...FACTORS] as const;
/** For units whose step names no figure, and that nobody saw at work. */
const LEAST_BYTES = 256 * 2 ** 20;
/** Sizes are rounded up to one of eight between a power of two and the next: units of like size are one class. */
const STEPS_AN_OCTAVE = 8;

export type Outgrown =
  | { readonly state: 'grows'; readonly growth: Growth }
  /** `why`: one line that names the need and the largest box. */
  | { readonly state: 'too-large'; readonly why: string }
  /** More memory is no remedy. */
  | { readonly state: 'no-remedy'; readonly why: string };

export interface KnownAgents {
  readonly agents: ReadonlyMap<string, AgentLiveness>;
  readonly nameOf: (agentId: string) => string;
}

/** `peak`: what the attempt was seen to take, 0 where nobody saw it. `hasGrown`: it was given more before. */
export function outgrown(
  demand: Demand,
  kind: Extract<EndKind, 'out-of-memory' | 'out-of-vram'>,
  peak: Growth,
  hasGrown: boolean,
  { agents, nameOf }: KnownAgents,
): Outgrown {
  const isVram = kind === 'out-of-vram';
  if (isVram && demand.gpus === 0) {
    const why = 'its step demands no GPU: demand gpus and vramBytes, so that memory is kept for it';
    return { state: 'no-remedy', why };
  }
  const { ramBytes, vramBytes } = demand;
  const growthBy = (factor: number): Growth =>
    isVram
      ? { ramBytes, vramBytes: larger(vramBytes, peak.vramBytes, factor) }
      : { ramBytes: larger(ramBytes, peak.ramBytes, factor), vramBytes };
  const factors = hasGrown ? FACTORS_AGAIN : FACTORS;
  for (const factor of factors) {
    const smaller = growthBy(factor);
    const isThere = misfitOf(agents, withMemory(demand, smaller), nameOf) === undefined;
    if (isThere) return { state: 'grows', growth: smaller };
  }
  const growth = growthBy(factors.at(-1) ?? 1);
  const misfit = misfitOf(agents, withMemory(demand, growth), nameOf) ?? '';
  const needed = isVram ? `${gib(growth.vramBytes)} VRAM` : `${gib(growth.ramBytes)} RAM`;
  return { state: 'too-large', why: `with ${needed} it ${misfit}` };
}

/**
 * Whether others have taken the memory of an agent that was booked: a game has started, say. Who runs out of it
 * then has outgrown nothing.
 */
export function isSqueezed(
  capacity: Capacity,
  booked: Booking,
  kind: Extract<EndKind, 'out-of-memory' | 'out-of-vram'>,
  gpuIds: readonly string[],
): boolean {
  if (kind === 'out-of-memory') return booked.ramBytes > usableRamBytes(capacity);
  return capacity.gpus.some(
    (gpu) => gpuIds.includes(gpu.id) && (booked.vramBytes.get(gpu.id) ?? 0) > usableVramBytes(gpu),
  );
}

/** Bytes, rounded up to a size that many share. */
export function roundedUp(bytes: number): number {
  if (bytes <= 0) return 0;
  const step = 2 ** Math.floor(Math.log2(bytes)) / STEPS_AN_OCTAVE;
  return Math.ceil(bytes / step) * step;
}

function larger(givenBytes: number, peakBytes: number, factor: number): number {
  return roundedUp(Math.max(LEAST_BYTES, givenBytes * factor, peakBytes * factor));
}
