/**
 * Blobs that were seen in a store far away, and their lengths: believed for a while, so that a job with
 * many inputs does not ask for each of them again and again. Only what is there is remembered: whoever
 * is told "missing" uploads it.
 */
import type { Clock } from '../../kit/clock.ts';

const BELIEVED_MS = 5 * 60_000;
const MAX_BLOBS = 100_000;

interface Seen {
  readonly sizeBytes: number;
  readonly untilMs: number;
}

export class SeenSizes {
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(sha256: string): number | undefined {
    const seen = this.#seen.get(sha256);
    return seen !== undefined && seen.untilMs > this.#clock.monotonicMs()
      ? seen.sizeBytes
      : undefined;
  }

  set(sha256: string, sizeBytes: number): void {
    // Set anew, so that the first in the map's order is the one seen longest ago.
    this.#seen.delete(sha256);
    this.#seen.set(sha256, { sizeBytes, untilMs: this.#clock.monotonicMs() + BELIEVED_MS });
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
