/**
 * Blobs that must stay though nothing committed refers to them yet: a client that was told "that one
 * is here" will name it in a submit. In memory only: after a restart the store sweeps nothing until
 * every pin that may have been lost would have run out.
 */
import type { Clock } from '../../kit/clock.ts';

export const PIN_MS = 60 * 60 * 1000;

/**
 * - `asked`: somebody was told that it is here, or uploaded it to name it in a submit.
 * - `result`: an agent uploaded it for a result; once that result's consumers are done, it may go.
 */
export type PinKind = 'asked' | 'result';

export class Pins {
  readonly #clock: Clock;
  readonly #untilMs: Readonly<Record<PinKind, Map<string, number>>> = {
    asked: new Map(),
    result: new Map(),
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  pin(sha256: string, kind: PinKind): void {
    const pins = this.#untilMs[kind];
    // Set anew, so that a map's order is the order in which its pins end.
    pins.delete(sha256);
    pins.set(sha256, this.#clock.monotonicMs() + PIN_MS);
  }

  has(sha256: string, kind: PinKind): boolean {
    const untilMs = this.#untilMs[kind].get(sha256);
    return untilMs !== undefined && untilMs > this.#clock.monotonicMs();
  }

  dropExpired(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const pins of Object.values(this.#untilMs)) {
      for (const [sha256, untilMs] of pins) {
        if (untilMs > nowMs) break;
        pins.delete(sha256);
      }
    }
  }
}
