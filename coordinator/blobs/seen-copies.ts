/**
 * Blobs that were seen in a store far away, where, and their lengths: believed for a while, so that a job with
 * many inputs does not ask for each of them again and again. Only what is there is remembered: whoever
 * is told "missing" uploads it.
 */
import type { Clock } from '../../kit/clock.ts';

const BELIEVED_MS = 5 * 60_000;
const MAX_BLOBS = 100_000;

/** One copy of a blob. */
export interface Copy {
  readonly key: string;
  readonly sizeBytes: number;
  /** Of the reign that put it there. */
  readonly epoch: number;
}

interface Seen {
  readonly copy: Copy;
  readonly untilMs: number;
}

export class SeenCopies {
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(sha256: string): Copy | undefined {
    const seen = this.#seen.get(sha256);
    return seen !== undefined && seen.untilMs > this.#clock.monotonicMs() ? seen.copy : undefined;
  }

  set(sha256: string, copy: Copy): void {
    // Set anew, so that the first in the map's order is the one seen longest ago.
    this.#seen.delete(sha256);
    this.#seen.set(sha256, { copy, untilMs: this.#clock.monotonicMs() + BELIEVED_MS });
    if (this.#seen.size <= MAX_BLOBS) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }

  forget(sha256: string): void {
    this.#seen.delete(sha256);
  }

  clear(): void {
    this.#seen.clear();
  }
}
