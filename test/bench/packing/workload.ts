/**
 * What a studio of thirty boxes and three gaming PCs is asked to do in an afternoon, drawn from a seed: what
 * units say they need, and what they really take, which is another thing.
 */
import { NO_DEMAND, type Capacity } from '../../../coordinator/domain/demand.ts';
import type { Demand } from '../../../coordinator/domain/task.ts';

const GIB = 2 ** 30;
const MINUTE_MS = 60_000;
const ARRIVALS_MS = 120 * MINUTE_MS;

export interface Box {
  readonly id: string;
  readonly capacity: Capacity;
}

/** Somebody plays: so much VRAM of the box's first GPU is gone from then to then. */
export interface Game {
  readonly boxId: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly vramBytes: number;
}

export interface WorkUnit {
  readonly demand: Demand;
  /** What it takes in truth, from a third of its run on; less before. */
  readonly peakRamBytes: number;
  readonly peakVramBytes: number;
  /** Of each GPU's time, when it has the GPU for itself: two of a half each do not slow one another. */
  readonly gpuUse: number;
  /** With nobody in its way. */
  readonly workMs: number;
}

/** Units that come at once, in one job. */
export interface WorkJob {
  readonly atMs: number;
  readonly owner: string;
  readonly units: readonly WorkUnit[];
}

interface Kind {
  readonly demand: Partial<Demand>;
  readonly units: readonly [from: number, to: number];
  readonly seconds: readonly [from: number, to: number];
  /** Share of the declared that is really taken. */
  readonly ram: readonly [from: number, to: number];
  readonly vram: readonly [from: number, to: number];
  readonly gpuUse: number;
  readonly jobs: number;
}

const KINDS: readonly Kind[] = [
  // Chunks of films.
  {
    demand: { cpuMillis: 4_000, ramBytes: 3 * GIB },
    units: [40, 160],
    seconds: [60, 150],
    ram: [0.4, 1.05],
    vram: [0, 0],
    gpuUse: 0,
    jobs: 100,
  },
  // Upscaling on any card.
  {
    demand: { cpuMillis: 2_000, ramBytes: 4 * GIB, gpus: 1, vramBytes: 5 * GIB },
    units: [20, 80],
    seconds: [90, 200],
    ram: [0.5, 1.1],
    vram: [0.6, 1.15],
    gpuUse: 0.55,
    jobs: 18,
  },
  // Frames of scenes that want half of a large card.
  {
    demand: { cpuMillis: 4_000, ramBytes: 14 * GIB, gpus: 1, vramBytes: 10 * GIB },
    units: [10, 40],
    seconds: [240, 420],
    ram: [0.5, 1.1],
    vram: [0.7, 1.05],
    gpuUse: 0.9,
    jobs: 12,
  },
  // What wants a large card for itself.
  {
    demand: { cpuMillis: 4_000, ramBytes: 20 * GIB, gpus: 1, vramBytes: 18 * GIB, wholeGpus: true },
    units: [2, 8],
    seconds: [400, 900],
    ram: [0.6, 1],
    vram: [0.7, 1.05],
    gpuUse: 1,
    jobs: 6,
  },
  // Simulations that fill a node's memory.
  {
    demand: { cpuMillis: 8_000, ramBytes: 88 * GIB },
    units: [1, 5],
    seconds: [900, 1_800],
    ram: [0.7, 1.05],
    vram: [0, 0],
    gpuUse: 0,
    jobs: 14,
  },
  // Small things.
  {
    demand: { cpuMillis: 1_000, ramBytes: GIB / 2 },
    units: [50, 300],
    seconds: [4, 25],
    ram: [0.2, 1.5],
    vram: [0, 0],
    gpuUse: 0,
    jobs: 20,
  },
];

const OWNERS = ['ann', 'bob', 'carl'];

/** In the order in which they joined: by chance, the same one for all. */
export function boxes(): Box[] {
  const random = randomFrom(1);
  const all = [
    ...some('gamer-a', 1, 8, 32, [8]),
    ...some('gamer-b', 1, 12, 32, [12]),
    ...some('gamer-c', 1, 16, 64, [24]),
    ...some('node', 10, 32, 128, []),
    ...some('desk', 12, 16, 64, [12]),
    ...some('large-desk', 6, 16, 64, [24]),
    ...some('server', 2, 24, 128, [24, 24]),
  ];
  return all
    .map((box) => ({ box, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ box }) => box);
}

export function games(): Game[] {
  return ['gamer-a-0', 'gamer-b-0', 'gamer-c-0'].flatMap((boxId, index) =>
    [40, 130, 260].map((minute) => ({
      boxId,
      fromMs: (minute + index * 17) * MINUTE_MS,
      toMs: (minute + index * 17 + 45) * MINUTE_MS,
      vramBytes: (4 + index) * GIB,
    })),
  );
}

/** In the order in which they come. */
export function workload(seed: number): WorkJob[] {
  const random = randomFrom(seed);
  const between = ([from, to]: readonly [number, number]): number => from + random() * (to - from);
  const jobs = KINDS.flatMap((kind, at) =>
    Array.from({ length: kind.jobs }, (_, index): WorkJob => {
      const count = Math.round(between(kind.units));
      // Scenes of one job are alike: what differs from frame to frame is less.
      const ramOfJob = between(kind.ram);
      const vramOfJob = between(kind.vram);
      const secondsOfJob = between(kind.seconds);
      const demand = { ...NO_DEMAND, ...kind.demand };
      const units = Array.from({ length: count }, (): WorkUnit => ({
        demand,
        peakRamBytes: Math.round(demand.ramBytes * ramOfJob * between([0.9, 1.1])),
        peakVramBytes: Math.round(demand.vramBytes * vramOfJob * between([0.95, 1.05])),
        gpuUse: kind.gpuUse,
        workMs: Math.round(1_000 * secondsOfJob * between([0.8, 1.25])),
      }));
      return {
        atMs: Math.round(random() * ARRIVALS_MS),
        owner: OWNERS[(at + index) % OWNERS.length] ?? '',
        units,
      };
    }),
  );
  return jobs.toSorted((a, b) => a.atMs - b.atMs);
}

function some(name: string, count: number, cores: number, ramGib: number, gpus: number[]): Box[] {
  return Array.from({ length: count }, (_, index) => {
    const id = `${name}-${index}`;
    return {
      id,
      capacity: {
        cpuMillis: cores * 1_000,
        ramTotalBytes: ramGib * GIB,
        ramAvailableBytes: (ramGib - 2) * GIB,
        scratchFreeBytes: 1_000 * GIB,
        encoderSessions: 0,
        attributes: [],
        gpus: gpus.map((size, gpu) => ({
          id: `${id}-gpu-${gpu}`,
          name: 'GPU',
          vramTotalBytes: size * GIB,
          // The desktop's.
          vramForeignBytes: 300 * 2 ** 20,
        })),
        maxUnits: 0,
      },
    };
  });
}

/** Mulberry32: the same numbers for the same seed, everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
