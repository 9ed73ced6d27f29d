/**
 * A look that costs a write, and that strangers can ask for: the first is taken at once, later ones at a pace.
 * Who asks meanwhile shares the next one; none is shared that had begun before it was asked for.
 */
import type { Clock } from '../../kit/clock.ts';

const LEAST_PAUSE_MS = 500;

export class SeldomLooks {
  readonly #clock: Clock;
  readonly #look: () => Promise<void>;
  #next: Promise<void> | undefined;
  #begunMs = -Infinity;

  constructor(clock: Clock, look: () => Promise<void>) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Settles as a look that began after the call. */
  look(): Promise<void> {
    this.#next ??= this.#afterPause().then(() => {
      this.#next = undefined;
      this.#begunMs = this.#clock.monotonicMs();
      return this.#look();
    });
    return this.#next;
  }

  #afterPause(): Promise<void> {
    const pauseMs = this.#begunMs + LEAST_PAUSE_MS - this.#clock.monotonicMs();
    if (pauseMs <= 0) return Promise.resolve();
    return new Promise((resolve) => void this.#clock.after(pauseMs, resolve));
  }
}
