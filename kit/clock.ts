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

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
