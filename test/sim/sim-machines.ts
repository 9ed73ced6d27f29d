/** What machines are like: how large, and how wrong their clocks are. */
import { TAKES_LISTS } from '../../agent/unit-inputs.ts';
import { Capacity, Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Prng } from './prng.ts';
import type { ClockFault } from './sim-process.ts';

export const MOST_CLOCK_DRIFT = 0.01;
const GIB = 2 ** 30;

/** Can run everything that the workload asks for. */
export const LARGE: Capacity = {
  ...Capacity.fromPartial({}),
  cpuMillis: 4_000,
  ramTotalBytes: 16 * GIB,
  ramAvailableBytes: 16 * GIB,
  scratchFreeBytes: 100 * GIB,
  gpus: [gpu('gpu-0', 12 * GIB)],
  attributes: [TAKES_LISTS],
  toolchain: {},
  encoderSessions: 2,
  maxUnits: 0,
};

export function someCapacity(prng: Prng): Capacity {
  const gpus = Array.from({ length: prng.whole(0, 2) }, (_, index) =>
    gpu(`gpu-${index}`, prng.pick([4, 8, 12]) * GIB),
  );
  const ramBytes = prng.pick([4, 8, 16]) * GIB;
  return {
    ...LARGE,
    cpuMillis: prng.pick([1_000, 2_000, 4_000, 8_000]),
    ramTotalBytes: ramBytes,
    ramAvailableBytes: ramBytes,
    gpus,
    maxUnits: prng.pick([0, 0, 1, 3]),
  };
}

export function gpu(id: string, vramTotalBytes: number): Gpu {
  return Gpu.fromPartial({ id, name: id, vramTotalBytes, vramFreeBytes: vramTotalBytes });
}

export function someClockFault(prng: Prng): ClockFault {
  return {
    rate: 1 + prng.between(-MOST_CLOCK_DRIFT, MOST_CLOCK_DRIFT),
    wallOffsetMs: prng.between(-60_000, 60_000),
  };
}
