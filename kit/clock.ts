/**
 * Time as an argument: everything that waits or stamps takes a Clock, so that the simulator can own
 * time. `monotonicMs` is for deadlines, `wallMs` for what people and the journal see.
 */
export interface Clock {
  /** Milliseconds from some start; never jumps with the wall clock. */
  monotonicMs(): number;
  /** Unix time in whole milliseconds. */
  wallMs(): number;
  /** Calls back once after `delayMs`; the answer cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Node calls back at once after a longer time: 25 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, callback) => {
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      timer =
        leftMs <= LONGEST_TIMER_MS
          ? setTimeout(callback, leftMs)
          : setTimeout(() => wait(dueMs - performance.now()), LONGEST_TIMER_MS);
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
};
