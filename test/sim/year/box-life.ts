/**
 * What a machine goes through in a day: its owner's habits and its mishaps. A day begins at noon, so that a
 * night is of one piece.
 */
import type { Prng } from '../prng.ts';
import type { Timeline } from '../timeline.ts';
import type { Box } from './box.ts';
import type { Mishaps } from './box-kinds.ts';

const GIB = 2 ** 30;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
const RATE_DAYS = 30;

/** From Monday, 0, to Sunday, 6. */
export type Weekday = number;

export class BoxLife {
  readonly #box: Box;
  readonly #timeline: Timeline;
  readonly #prng: Prng;
  /** Counts what happened, by name. */
  readonly #count: (what: string) => void;

  constructor(box: Box, timeline: Timeline, prng: Prng, count: (what: string) => void) {
    this.#box = box;
    this.#timeline = timeline;
    this.#prng = prng;
    this.#count = count;
  }

  /** Plans the day that begins now, at noon. */
  planDay(weekday: Weekday): void {
    switch (this.#box.traits.kind.owner) {
      case 'player':
        this.#planPlayer(weekday);
        break;
      case 'artist':
        this.#planArtist(weekday);
        break;
      case 'none':
    }
    this.#planMishaps();
  }

  #planPlayer(weekday: Weekday): void {
    const prng = this.#prng;
    const isWeekend = weekday >= 4 && weekday <= 5;
    if (prng.chance(isWeekend ? 0.7 : 0.45)) {
      const fromMs = prng.between(6, 9) * HOUR_MS;
      this.#at(fromMs, 'game', () => this.#use(prng.between(4, 12), prng.between(5, 10)));
      this.#at(fromMs + prng.between(1, 3.5) * HOUR_MS, 'game over', () => this.#leave());
    }
    if (this.#box.traits.sleepsAtNight && prng.chance(0.85)) {
      this.#at(prng.between(11.5, 14) * HOUR_MS, 'sleep', () =>
        this.#sleep(prng.between(6, 9.5) * HOUR_MS),
      );
    }
  }

  /** Office hours; some are switched off on Friday evening until Monday. */
  #planArtist(weekday: Weekday): void {
    const prng = this.#prng;
    if (weekday <= 4) {
      this.#at(prng.between(5, 7.5) * HOUR_MS, 'artist leaves', () => this.#leave());
    }
    const isWorkTomorrow = weekday <= 3 || weekday === 6;
    if (isWorkTomorrow) {
      this.#at(prng.between(20.5, 22) * HOUR_MS, 'artist comes', () =>
        this.#use(prng.between(2, 8), prng.between(4, 16)),
      );
    }
    if (weekday === 4 && prng.chance(0.25)) {
      const offMs = prng.between(60, 68) * HOUR_MS;
      this.#at(8 * HOUR_MS, 'shut down', () => this.#restart(offMs));
    }
  }

  #use(vramGib: number, ramGib: number): void {
    if (this.#box.power !== 'on') return;
    if (this.#box.traits.evicts) this.#box.close('its owner is back');
    else this.#box.setForeign({ ramBytes: ramGib * GIB, vramBytes: vramGib * GIB });
  }

  #leave(): void {
    this.#box.open();
  }

  #sleep(forMs: number): void {
    this.#box.sleep();
    this.#later(forMs, 'wakes', () => this.#box.wake());
  }

  #restart(offMs: number): void {
    this.#box.shutDown();
    this.#later(offMs, 'boots', () => this.#box.boot());
  }

  #planMishaps(): void {
    const prng = this.#prng;
    const often = (what: keyof Mishaps, befall: () => void): void => {
      const chance = this.#box.traits.kind.mishaps[what] / RATE_DAYS;
      if (prng.chance(chance)) this.#at(prng.between(0, DAY_MS), what, befall);
    };
    const minutes = (least: number, most: number): number => prng.between(least, most) * MINUTE_MS;
    often('kernelCrash', () => {
      // Who sleeps does not crash.
      if (this.#box.power !== 'on') return;
      this.#box.crash();
      this.#later(minutes(2, 15), 'boots', () => this.#box.boot());
    });
    often('reboot', () => this.#restart(minutes(3, 10)));
    often('wifiLoss', () => {
      this.#box.setOnline(false);
      this.#later(prng.longTailed(1, 25) * MINUTE_MS, 'online', () => this.#box.setOnline(true));
    });
    often('fullDisk', () => {
      this.#box.setDiskFull(true);
      this.#later(minutes(60, 1_200), 'disk freed', () => this.#box.setDiskFull(false));
    });
    often('driverLoss', () => {
      this.#box.loseDriver(prng.chance(0.5));
      this.#later(minutes(60, 1_200), 'rebooted for its GPU', () => this.#restart(minutes(3, 10)));
    });
    often('idleSuspend', () => this.#sleep(minutes(20, 240)));
  }

  #at(delayMs: number, what: string, befall: () => void): void {
    this.#later(delayMs, what, () => {
      this.#count(what);
      befall();
    });
  }

  #later(delayMs: number, what: string, befall: () => void): void {
    this.#timeline.after(delayMs, `${this.#box.id} ${what}`, befall);
  }
}
