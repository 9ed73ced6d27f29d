/** The machines of a simulated year: what they have, and how often something befalls them. */
import type { Capacity } from '../../../proto/gen/furrow/v1/agent_service.ts';
import type { Prng } from '../prng.ts';
import { gpu, LARGE } from '../sim-machines.ts';

const GIB = 2 ** 30;

/** Times in thirty days. */
export interface Mishaps {
  readonly kernelCrash: number;
  readonly driverLoss: number;
  readonly fullDisk: number;
  readonly reboot: number;
  readonly wifiLoss: number;
  /** Its system suspends it by day for want of input, whatever runs. */
  readonly idleSuspend: number;
}

/** Who else uses the machine. */
export type Owner = 'player' | 'artist' | 'none';

export interface BoxKind {
  readonly name: string;
  readonly owner: Owner;
  readonly mishaps: Mishaps;
  readonly capacity: (prng: Prng) => Capacity;
}

export interface BoxTraits {
  readonly kind: BoxKind;
  readonly capacity: Capacity;
  /** 1 is usual. */
  readonly speed: number;
  /** Units go at once when its owner comes; else they stay, and fight for the memory. */
  readonly evicts: boolean;
  readonly sleepsAtNight: boolean;
  /** Share of its GPU units that come out bad. */
  readonly badOutput: number;
}

const GAMING: BoxKind = {
  name: 'gaming PC',
  owner: 'player',
  mishaps: {
    kernelCrash: 0.6,
    driverLoss: 0.4,
    fullDisk: 0.3,
    reboot: 2,
    wifiLoss: 4,
    idleSuspend: 3,
  },
  capacity: (prng) =>
    capacityOf(prng.pick([6, 8, 12, 16]), prng.pick([16, 16, 32]), [
      prng.pick([8, 8, 10, 12, 12, 16, 24]),
    ]),
};

const WORKSTATION: BoxKind = {
  name: 'workstation',
  owner: 'artist',
  mishaps: {
    kernelCrash: 0.3,
    driverLoss: 0.3,
    fullDisk: 0.5,
    reboot: 1,
    wifiLoss: 0.2,
    idleSuspend: 0.5,
  },
  capacity: (prng) => {
    const gpus = Array.from({ length: prng.chance(0.2) ? 2 : 1 }, () => prng.pick([12, 16, 24]));
    return capacityOf(prng.pick([12, 16, 24]), prng.pick([32, 64, 128]), gpus);
  },
};

const SMALL: BoxKind = {
  name: 'small box',
  owner: 'none',
  mishaps: {
    kernelCrash: 0.2,
    driverLoss: 0,
    fullDisk: 0.6,
    reboot: 1,
    wifiLoss: 6,
    idleSuspend: 0,
  },
  capacity: (prng) => capacityOf(prng.pick([2, 4, 4]), prng.pick([4, 8]), []),
};

const SERVER: BoxKind = {
  name: 'server',
  owner: 'none',
  mishaps: {
    kernelCrash: 0.05,
    driverLoss: 0.2,
    fullDisk: 0.1,
    reboot: 1,
    wifiLoss: 0,
    idleSuspend: 0,
  },
  capacity: () => capacityOf(64, 256, [24, 24, 24, 24]),
};

/** Of two hundred. */
const SHARES: readonly (readonly [BoxKind, number])[] = [
  [GAMING, 120],
  [WORKSTATION, 50],
  [SMALL, 28],
  [SERVER, 2],
];
/** One GPU in so many is bad. */
const BAD_GPUS = 50;

/** The same mix for any number, of at least one server. */
export function someBoxes(prng: Prng, count: number): BoxTraits[] {
  const kinds = SHARES.flatMap(([kind, of200]) =>
    Array.from({ length: Math.max(1, Math.round((of200 * count) / 200)) }, () => kind),
  );
  return kinds.map((kind) => {
    const hasGpu = kind.name !== SMALL.name;
    return {
      kind,
      capacity: kind.capacity(prng),
      speed: prng.between(0.7, 1.4),
      evicts: prng.chance(0.6),
      sleepsAtNight: kind.owner === 'player' ? prng.chance(0.7) : false,
      badOutput: hasGpu && prng.chance(1 / BAD_GPUS) ? 0.3 : 0,
    };
  });
}

function capacityOf(cpus: number, ramGib: number, vramGib: readonly number[]): Capacity {
  return {
    ...LARGE,
    cpuMillis: cpus * 1_000,
    ramTotalBytes: ramGib * GIB,
    ramAvailableBytes: ramGib * GIB,
    scratchFreeBytes: 200 * GIB,
    gpus: vramGib.map((gib, index) => gpu(`gpu-${index}`, gib * GIB)),
    encoderSessions: vramGib.length * 3,
    // Units take minutes: none is worth a place in a queue of its own.
    maxWaiting: 0,
    isolation: { level: 'none', detail: '', allowedCommands: ['*'], allowsNetwork: true },
  };
}
