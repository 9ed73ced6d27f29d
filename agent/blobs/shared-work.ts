/** Work that several want done once. It is aborted when nobody waits for it any more. */

interface Running<T> {
  readonly outcome: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  /** Joins what runs under this key, or starts it. Rejects with the signal's reason when it aborts. */
  async run(
    key: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    let running = this.#running.get(key);
    // What was given up is ending: joining it would be refused for another's reason.
    while (running?.abort.signal.aborted === true) {
      await running.outcome.catch(() => undefined);
      signal.throwIfAborted();
      running = this.#running.get(key);
    }
    return this.#wait(running ?? this.#start(key, work), signal);
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const abort = new AbortController();
    const outcome = work(abort.signal).finally(() => this.#running.delete(key));
    // Everybody who wanted it may have left.
    outcome.catch(() => undefined);
    const running = { outcome, abort, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }

  async #wait(running: Running<T>, signal: AbortSignal): Promise<T> {
    running.waiting += 1;
    let leave = (): void => undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(signal.reason);
    });
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([running.outcome, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      running.waiting -= 1;
      if (running.waiting === 0) running.abort.abort(signal.reason);
    }
  }
}
