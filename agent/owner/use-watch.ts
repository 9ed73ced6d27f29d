/**
 * Whether others use this machine, judged from readings every few seconds, and as of the last of them: what
 * happened since nobody knows. No I/O, no clock. Slow to open
 * and not hasty to close: it is idle only after it was so for as long as the policy says, and a moment's
 * load, such as a mail that arrives, is not its owner's return.
 */
import type { PolicyTerms } from '../../proto/agent-policy.ts';

/** One look; undefined is what this machine does not tell. */
export interface UseReading {
  /** Since somebody last touched keyboard, mouse or terminal. */
  readonly inputIdleMs: number | undefined;
  /** Of all processors, used by what is not the farm's. */
  readonly loadPercent: number | undefined;
  /** Of the busiest GPU that none of our units uses. */
  readonly gpuPercent: number | undefined;
}

export type Use =
  | { readonly state: 'idle' }
  | { readonly state: 'busy'; readonly with: 'input' | 'load' | 'gpu' }
  /** Nothing was read yet. */
  | { readonly state: 'unknown' }
  /** This machine tells nothing that could be judged. */
  | { readonly state: 'blind' };

/** What lasts so long is no accident. */
const SUSTAINED_MS = 10_000;

export class UseWatch {
  readonly #load = new Level();
  readonly #gpu = new Level();
  #lastInputMs = -Infinity;
  #readAtMs = -Infinity;
  #state: 'unknown' | 'blind' | 'read' = 'unknown';
  #looks = 0;

  observe(reading: UseReading, terms: PolicyTerms, nowMs: number): void {
    const { inputIdleMs, loadPercent, gpuPercent } = reading;
    this.#looks += 1;
    this.#readAtMs = nowMs;
    if (inputIdleMs !== undefined || loadPercent !== undefined) this.#state = 'read';
    // Load is what happened since the look before.
    else this.#state = this.#looks > 1 ? 'blind' : 'unknown';
    if (inputIdleMs !== undefined) {
      this.#lastInputMs = Math.max(this.#lastInputMs, nowMs - inputIdleMs);
    }
    this.#load.observe((loadPercent ?? 0) > terms.maxLoadPercent, terms.idleAfterMs, nowMs);
    this.#gpu.observe((gpuPercent ?? 0) > terms.maxGpuPercent, terms.idleAfterMs, nowMs);
  }

  use({ idleAfterMs }: PolicyTerms): Use {
    if (this.#state !== 'read') return { state: this.#state };
    const sinceMs = this.#readAtMs - idleAfterMs;
    if (this.#lastInputMs > sinceMs) return { state: 'busy', with: 'input' };
    if (this.#load.lastMs > sinceMs) return { state: 'busy', with: 'load' };
    if (this.#gpu.lastMs > sinceMs) return { state: 'busy', with: 'gpu' };
    return { state: 'idle' };
  }
}

/** One figure against its limit. */
class Level {
  /** When it was last too high, and not just for a moment. */
  lastMs = -Infinity;
  #highSinceMs: number | undefined;

  observe(isHigh: boolean, idleAfterMs: number, nowMs: number): void {
    if (!isHigh) {
      this.#highSinceMs = undefined;
      return;
    }
    this.#highSinceMs ??= nowMs;
    const isBusyAnyway = nowMs - this.lastMs < idleAfterMs;
    if (isBusyAnyway || nowMs - this.#highSinceMs >= SUSTAINED_MS) this.lastMs = nowMs;
  }
}
