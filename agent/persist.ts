/** Trying again for as long as the blob store is only away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FurrowError } from '../kit/furrow-error.ts';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;

/** With growing pauses. Rejects with the last error, or with the signal's reason. */
export async function persist<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  patienceMs: number,
): Promise<T> {
  const giveUpAt = performance.now() + patienceMs;
  for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_RETRY_MS)) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const away = error instanceof FurrowError && error.retryable;
      if (!away || performance.now() + pauseMs > giveUpAt) throw error;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}
