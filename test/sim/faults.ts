/** What goes wrong, and when it is mended. Each seed likes other faults, so that some reach deep. */
import { AGENT_FAULTS } from './agent-faults.ts';
import { COORDINATOR_FAULTS } from './coordinator-faults.ts';
import type { Prng } from './prng.ts';
import { STORE_FAULTS } from './store-faults.ts';
import { type Fault, USUAL_DISK_MS, type World } from './world.ts';

const FAULTS: Readonly<Record<string, Fault>> = {
  ...COORDINATOR_FAULTS,
  ...AGENT_FAULTS,
  ...STORE_FAULTS,
};

export const FAULT_NAMES: readonly string[] = Object.keys(FAULTS);

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
    const share = prng.pick([0.08, 0.2, 0.5]);
    const names = FAULT_NAMES.filter(() => prng.chance(share));
    // A takeover is what most promises are about.
    this.#liked = [...names, prng.pick(Object.keys(COORDINATOR_FAULTS))];
    this.#mostPauseMs = prng.pick([5_000, 15_000, 40_000]);
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
    const { network, units, store, agents, blobDisk, coordinators } = this.#world;
    Object.assign(network.weather, { loss: 0, duplication: 0, mostDelayMs: 5 });
    Object.assign(units, { failure: 0, hang: 0, diskFailure: 0 });
    Object.assign(units, { uploadLoss: 0, badResult: 0, refusal: 0, mostDiskMs: USUAL_DISK_MS });
    units.slowness.clear();
    network.mendAll();
    store.isFull = false;
    store.mostDiskMs = 0;
    blobDisk.mostDiskMs = 0;
    network.nats.resume();
    if (!network.nats.isAlive) this.#world.restartNats();
    store.leaderKey.thaw();
    for (const coordinator of coordinators) {
      coordinator.run?.process.resume();
      coordinator.release();
    }
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
