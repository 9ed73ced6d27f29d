/** What of a machine's capacity is offered under its policies: the least that any of them allows. Pure. */
import type { Capacity, Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { PolicyTerms } from '../../proto/agent-policy.ts';

/** 0 is no limit. */
export interface Caps {
  readonly cpuMillis: number;
  readonly units: number;
  readonly vramPercent: number;
  readonly bytesPerSecond: number;
}

export function capsOf(terms: readonly PolicyTerms[]): Caps {
  const least = (figure: (of: PolicyTerms) => number): number =>
    terms.map(figure).reduce(tighter, 0);
  return {
    cpuMillis: least((of) => of.maxCpuMillis),
    units: least((of) => of.maxUnits),
    vramPercent: Math.min(...terms.map((of) => of.maxVramPercent)),
    bytesPerSecond: least((of) => of.maxBytesPerSecond),
  };
}

export function offerOf(
  capacity: Capacity,
  caps: Caps,
  closedReason: string | undefined,
): Capacity {
  return {
    ...capacity,
    cpuMillis: tighter(capacity.cpuMillis, caps.cpuMillis),
    maxUnits: tighter(capacity.maxUnits, caps.units),
    gpus: capacity.gpus.map((gpu) => shareOf(gpu, caps.vramPercent)),
    closedReason,
  };
}

/** What others use comes out of what units do not get, as far as it goes. */
function shareOf(gpu: Gpu, percent: number): Gpu {
  if (percent >= 100) return gpu;
  const vramTotalBytes = Math.floor((gpu.vramTotalBytes * percent) / 100);
  const withheldBytes = gpu.vramTotalBytes - vramTotalBytes;
  return {
    ...gpu,
    vramTotalBytes,
    vramForeignBytes: Math.max(0, gpu.vramForeignBytes - withheldBytes),
    vramFreeBytes: Math.min(gpu.vramFreeBytes, vramTotalBytes),
  };
}

/** The smaller of two limits, of which 0 is none. */
function tighter(a: number, b: number): number {
  return a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b);
}
