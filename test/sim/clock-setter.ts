/**
 * Sets the wall clocks of machines, by seconds and by days, until all is mended: as they stand then, they
 * stay. It has chance of its own, so that the other faults of a seed are what they were without it.
 */
import { Prng } from './prng.ts';
import type { World } from './world.ts';

const HOUR_MS = 3_600_000;
/** Beyond that a job's outputs would be kept for too long, or not long enough: a person's matter. */
const MOST_SET_MS = 30 * HOUR_MS;

export class ClockSetter {
  readonly #world: World;
  readonly #prng: Prng;
  #isOn = true;
  count = 0;

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#prng = new Prng(seed);
  }

  start(): void {
    const prng = this.#prng;
    this.#world.timeline.after(prng.between(500, 30_000), 'clock', () => {
      if (!this.#isOn) return;
      this.#set();
      this.start();
    });
  }

  stop(): void {
    this.#isOn = false;
  }

  #set(): void {
    const prng = this.#prng;
    const { agents, coordinators, timeline } = this.#world;
    const spanMs = prng.longTailed(500, MOST_SET_MS);
    const byMs = spanMs * prng.pick([-1, 1]);
    const machine = prng.chance(0.5) ? prng.pick(coordinators) : prng.pick(agents);
    machine.setClock(byMs);
    this.count += 1;
    timeline.note(`a clock is set by ${Math.round(byMs)} ms`);
  }
}
