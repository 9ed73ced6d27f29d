/** Wakes those who wait for something to become true. */

/** Node takes a longer delay for none. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Changes {
  readonly #waiting = new Set<() => void>();

  notify(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Answers whether the condition came true within the time. */
  until(condition: () => boolean, limitMs: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    return new Promise((fulfil) => {
      const settle = (outcome: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        fulfil(outcome);
      };
      const check = (): void => {
        if (condition()) settle(true);
      };
      const timer = setTimeout(() => settle(false), Math.min(limitMs, LONGEST_TIMER_MS));
      this.#waiting.add(check);
    });
  }
}
