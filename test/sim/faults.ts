/** What goes wrong, and when it is mended. Each seed likes other faults, so that some reach deep. */
import { NATS, type Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import type { JournalStore } from './journal-store.ts';
import type { Result } from '../../proto/gen/furrow/work/v1/work.ts';
import type { BlobDisk } from './sim-blobs.ts';
import type { SimAgent, UnitWeather } from './sim-agent.ts';

/** What the faults act on. */
export interface World {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly store: JournalStore;
  readonly agents: readonly SimAgent[];
  readonly units: UnitWeather;
  /** Coordinators that live, the newest last. */
  readonly coordinators: () => readonly {
    readonly machine: string;
    readonly process: SimProcess;
  }[];
  readonly startCoordinator: () => void;
  readonly restartNats: () => void;
  readonly blobDisk: BlobDisk;
  /** Sequences of the snapshots that may be started from, oldest first. */
  readonly validSnapshots: () => readonly number[];
}

type Fault = (world: World, prng: Prng) => void;

/** So long a fault lasts at most; longer than two leases. */
const MOST_MS = 45_000;
export const USUAL_DISK_MS = 200;

const FAULTS: Readonly<Record<string, Fault>> = {
  'coordinator-crash': (world, prng) => {
    world.coordinators().at(-1)?.process.kill();
    later(world, prng, () => startIfNone(world));
  },
  'coordinator-pause': (world, prng) => {
    const victim = world.coordinators().at(-1)?.process;
    if (victim === undefined) return;
    victim.pause();
    // Half of them longer than a lease.
    const pauseMs = prng.chance(0.5) ? prng.between(16_000, 60_000) : prng.longTailed(100, 16_000);
    world.timeline.after(pauseMs, 'mended', () => victim.resume());
  },
  /** The old leader sleeps, a new one takes over, the old one wakes. */
  'coordinator-overtaken': (world, prng) => {
    const victim = world.coordinators().at(-1)?.process;
    if (victim === undefined) return;
    victim.pause();
    world.timeline.after(prng.between(0, 20_000), 'a standby starts', world.startCoordinator);
    later(world, prng, () => victim.resume());
  },
  /** Nothing is wrong with the leader: another just takes over, while old results still come to both. */
  'coordinator-rival': (world, prng) => {
    world.startCoordinator();
    for (let count = 0; count < 6; count += 1) {
      const victim = prng.pick(world.agents);
      world.timeline.after(prng.longTailed(50, 10_000), 'late result', () =>
        victim.offerAgain(prng.pick(GARBLES)),
      );
    }
  },
  'agent-crash': (world, prng) => {
    const victim = prng.pick(world.agents);
    victim.kill();
    later(world, prng, () => victim.start());
  },
  'agent-power-cut': (world, prng) => {
    const victim = prng.pick(world.agents);
    const { machine } = newest(world);
    cutBoth(world.network, victim.agentId, machine);
    victim.cutPower();
    later(world, prng, () => {
      mendBoth(world.network, victim.agentId, machine);
      victim.start();
    });
  },
  'agent-pause': (world, prng) => {
    const victim = prng.pick(world.agents).process;
    victim?.pause();
    later(world, prng, () => victim?.resume());
  },
  'agent-leave': (world, prng) => {
    const victim = prng.pick(world.agents);
    victim.leave();
    later(world, prng, () => {
      victim.kill();
      victim.start();
    });
  },
  'agent-stream-break': (world, prng) => prng.pick(world.agents).breakStream(),
  'agent-cut-off': (world, prng) => {
    const { agentId } = prng.pick(world.agents);
    const { machine } = newest(world);
    cutBoth(world.network, agentId, machine);
    if (prng.chance(0.5)) cutBoth(world.network, agentId, NATS);
    later(world, prng, () => {
      mendBoth(world.network, agentId, machine);
      mendBoth(world.network, agentId, NATS);
    });
  },
  'one-way-cut': (world, prng) => {
    const { agentId } = prng.pick(world.agents);
    const { machine } = newest(world);
    const ends: [string, string] = prng.pick([
      [agentId, machine],
      [machine, agentId],
      [agentId, NATS],
      [NATS, agentId],
      [machine, NATS],
      [NATS, machine],
    ]);
    world.network.cut(...ends);
    later(world, prng, () => world.network.mend(...ends));
  },
  'coordinator-off-nats': (world, prng) => {
    const { machine } = newest(world);
    cutBoth(world.network, machine, NATS);
    later(world, prng, () => mendBoth(world.network, machine, NATS));
  },
  'nats-crash': (world, prng) => {
    world.network.nats.kill();
    world.timeline.after(prng.longTailed(200, 20_000), 'nats-server starts', world.restartNats);
  },
  /** At no moment that a clock could name: right behind some event, before the next. */
  'coordinator-crash-at-step': (world, prng) => {
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      world.coordinators().at(-1)?.process.kill();
      later(world, prng, () => startIfNone(world));
    });
  },
  'agent-crash-at-step': (world, prng) => {
    const victim = prng.pick(world.agents);
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      victim.kill();
      later(world, prng, () => victim.start());
    });
  },
  'nats-crash-at-step': (world, prng) => {
    world.timeline.afterSteps(prng.whole(1, 300), () => {
      world.network.nats.kill();
      world.timeline.after(prng.longTailed(200, 20_000), 'nats-server starts', world.restartNats);
    });
  },
  /** A laptop is closed, and opened again much later. */
  'agent-sleep': (world, prng) => {
    const victim = prng.pick(world.agents).process;
    victim?.pause();
    const sleepMs = prng.between(60_000, 10 * 60_000);
    world.timeline.after(sleepMs, 'wakes', () => victim?.resume());
  },
  'slow-journal-disk': (world, prng) => {
    world.store.mostDiskMs = prng.pick([50, 1_000, 6_000]);
    later(world, prng, () => {
      world.store.mostDiskMs = 0;
    });
  },
  'slow-blob-disk': (world, prng) => {
    world.blobDisk.mostDiskMs = prng.pick([50, 1_000, 6_000]);
    later(world, prng, () => {
      world.blobDisk.mostDiskMs = 0;
    });
  },
  'slow-agent-disks': (world, prng) => {
    world.units.mostDiskMs = prng.pick([2_000, 20_000]);
    later(world, prng, () => {
      world.units.mostDiskMs = USUAL_DISK_MS;
    });
  },
  'owners-play': (world, prng) => {
    world.units.refusal = prng.pick([0.1, 0.5, 1]);
    later(world, prng, () => {
      world.units.refusal = 0;
    });
  },
  'late-result': (world, prng) => prng.pick(world.agents).offerAgain((result) => result),
  'wrong-result': (world, prng) => {
    const garble = prng.pick(GARBLES);
    prng.pick(world.agents).offerAgain(garble);
  },
  'snapshot-damaged': damageSnapshot,
  'nats-pause': (world, prng) => {
    const victim = world.network.nats;
    victim.pause();
    later(world, prng, () => victim.resume());
  },
  'store-full': (world, prng) => {
    world.store.isFull = true;
    later(world, prng, () => {
      world.store.isFull = false;
    });
  },
};

export const FAULT_NAMES: readonly string[] = Object.keys(FAULTS);

/** What no agent would say: none of it may be accepted, and none may do harm. */
const GARBLES: readonly ((result: Result) => Result)[] = [
  (result) => ({ ...result, unit: result.unit + 1 }),
  (result) => ({ ...result, jobId: 'j999999' }),
  (result) => ({ ...result, step: 'no-such-step' }),
  ({ token, ...result }) => ({
    ...result,
    token: token && { ...token, counter: token.counter + 1_000_000 },
  }),
  ({ token, ...result }) => ({
    ...result,
    token: token && { ...token, epoch: token.epoch + 1_000 },
  }),
];

/** The newest one, and only while there is another way to the farm. */
function damageSnapshot({ store, validSnapshots, coordinators }: World, prng: Prng): void {
  const valid = validSnapshots();
  const newest = valid.at(-1);
  const isNeeded = valid.length > 1 ? store.damaged.has(valid[0] ?? 0) : store.firstSequence > 1;
  const chunks = newest === undefined ? undefined : store.snapshots.get(newest);
  if (newest === undefined || chunks === undefined || isNeeded) return;
  const chunk = prng.pick(chunks);
  const at = prng.whole(0, chunk.length - 1);
  chunk[at] = (chunk[at] ?? 0) ^ (1 << prng.whole(0, 7));
  store.damaged.add(newest);
  // Nobody would notice before a start.
  if (prng.chance(0.8)) coordinators().at(-1)?.process.kill();
}

export class Faults {
  readonly counts = new Map<string, number>();
  readonly #world: World;
  readonly #prng: Prng;
  readonly #liked: readonly string[];
  readonly #mostPauseMs: number;
  #isOn = true;

  constructor(world: World, prng: Prng) {
    this.#world = world;
    this.#prng = prng;
    // Many kinds at once hide what a few do when they have the time.
    const share = prng.pick([0.1, 0.25, 0.6]);
    const names = FAULT_NAMES.filter(() => prng.chance(share));
    this.#liked = names.length === 0 ? FAULT_NAMES : names;
    this.#mostPauseMs = prng.pick([5_000, 20_000, 60_000]);
  }

  start(): void {
    const { network, units } = this.#world;
    const prng = this.#prng;
    network.weather.loss = prng.pick([0, 0.002, 0.02, 0.1]);
    network.weather.duplication = prng.pick([0, 0.01, 0.1]);
    network.weather.mostDelayMs = prng.pick([5, 200, 3_000]);
    units.failure = prng.pick([0, 0.02, 0.15, 0.5]);
    units.hang = prng.pick([0, 0.02]);
    units.diskFailure = prng.pick([0, 0.02]);
    units.uploadLoss = prng.pick([0, 0.05]);
    units.badResult = prng.pick([0, 0, 0.02]);
    this.#next();
  }

  /** Everything is mended at once, and nothing more goes wrong. */
  stop(): void {
    this.#isOn = false;
    const { network, units, store, agents, blobDisk } = this.#world;
    Object.assign(network.weather, { loss: 0, duplication: 0, mostDelayMs: 5 });
    Object.assign(units, { failure: 0, hang: 0, diskFailure: 0 });
    Object.assign(units, { uploadLoss: 0, badResult: 0, refusal: 0, mostDiskMs: USUAL_DISK_MS });
    network.mendAll();
    store.isFull = false;
    store.mostDiskMs = 0;
    blobDisk.mostDiskMs = 0;
    network.nats.resume();
    if (!network.nats.isAlive) this.#world.restartNats();
    for (const { process } of this.#world.coordinators()) process.resume();
    startIfNone(this.#world);
    for (const agent of agents) {
      agent.process?.resume();
      agent.start();
    }
  }

  #next(): void {
    this.#world.timeline.after(this.#prng.between(200, this.#mostPauseMs), 'fault', () => {
      if (!this.#isOn) return;
      const name = this.#prng.pick(this.#liked);
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      this.#world.timeline.note(`fault ${name}`);
      FAULTS[name]?.(this.#world, this.#prng);
      this.#next();
    });
  }
}

function later(world: World, prng: Prng, mend: () => void): void {
  const delayMs = prng.chance(0.5) ? prng.longTailed(100, MOST_MS) : prng.between(10_000, MOST_MS);
  world.timeline.after(delayMs, 'mended', mend);
}

function startIfNone(world: World): void {
  if (world.coordinators().length === 0) world.startCoordinator();
}

function newest(world: World): { readonly machine: string } {
  return world.coordinators().at(-1) ?? { machine: 'nobody' };
}

function cutBoth(network: Network, a: string, b: string): void {
  network.cut(a, b);
  network.cut(b, a);
}

function mendBoth(network: Network, a: string, b: string): void {
  network.mend(a, b);
  network.mend(b, a);
}
