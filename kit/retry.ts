/** Trying again what failed for a reason that passes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FurrowError } from './furrow-error.ts';

export interface RetryOptions {
  /** Give up after so many failures in a row. */
  readonly attempts: number;
  readonly signal?: AbortSignal;
  /** Longest wait after the first failure; doubles with each up to `maxDelayMs`. Default 250 ms. */
  readonly firstDelayMs?: number;
  /** Default 10 s. */
  readonly maxDelayMs?: number;
}

/**
 * Runs `work` until it succeeds, fails for good or has failed `attempts` times in a row. `moved` is
 * for work that goes on where it stopped: it starts the count anew. Waits are drawn from the upper
 * half of the window, so that a hundred agents do not come back at once.
 */
export async function retrying<T>(
  options: RetryOptions,
  work: (moved: () => void) => Promise<T>,
): Promise<T> {
  const { attempts, signal, firstDelayMs = 250, maxDelayMs = 10_000 } = options;
  for (let failures = 0; ;) {
    signal?.throwIfAborted();
    try {
      return await work(() => {
        failures = 0;
      });
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      if (!(error instanceof FurrowError && error.retryable) || failures >= attempts) throw error;
    }
    const windowMs = Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1));
    await sleep(windowMs * (0.5 + Math.random() / 2), undefined, { signal });
  }
}
