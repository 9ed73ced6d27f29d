/**
 * What somebody sends, at a least pace: whoever sends less within the time that was spent waiting for him is
 * waited for no longer. The time that we take to store it does not count.
 */
import { FurrowError } from '../../kit/furrow-error.ts';

export interface SendingPace {
  readonly windowMs: number;
  /** That much must come in the window. */
  readonly leastBytes: number;
}

/** As slow as any link that is of use: half a kibibyte a second. */
const LEAST_PACE: SendingPace = { windowMs: 60_000, leastBytes: 30 * 1024 };

/** FurrowError: timed-out SENDER_TOO_SLOW. */
export async function* atPace<T>(
  messages: AsyncIterator<T>,
  bytesOf: (message: T) => number,
  { windowMs, leastBytes }: SendingPace = LEAST_PACE,
): AsyncGenerator<T> {
  let leftMs = windowMs;
  let bytes = 0;
  for (;;) {
    const askedMs = performance.now();
    const next = await within(leftMs, messages.next());
    if (next.done === true) return;
    leftMs -= performance.now() - askedMs;
    bytes += bytesOf(next.value);
    if (bytes >= leastBytes) {
      leftMs = windowMs;
      bytes = 0;
    }
    yield next.value;
  }
}

function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = 'what is sent comes too slowly to be waited for: send again over a faster link';
    timer = setTimeout(() => {
      reject(new FurrowError('timed-out', 'SENDER_TOO_SLOW', message));
    }, limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
