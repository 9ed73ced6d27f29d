/** What an attacker can cause by the thousand is said once a minute, with a count. */
import type { Clock } from '../../kit/clock.ts';

const PAUSE_MS = 60_000;

export class Seldom {
  readonly #clock: Clock;
  readonly #say: (count: number) => void;
  #untold = 0;
  #isPausing = false;

  /** `say` is told how often it happened since it was told last. */
  constructor(clock: Clock, say: (count: number) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  note(): void {
    this.#untold += 1;
    if (this.#isPausing) return;
    this.#tell();
  }

  #tell(): void {
    this.#say(this.#untold);
    this.#untold = 0;
    this.#isPausing = true;
    this.#clock.after(PAUSE_MS, () => {
      this.#isPausing = false;
      if (this.#untold > 0) this.#tell();
    });
  }
}
