import { setMaxListeners } from 'node:events';

/**
 * An order to end that may come. Its AbortSignal is made only for those who ask for one: most short units
 * are over before anybody does, and signals are costly by the thousand.
 */
export class Cancellation {
  #listeners: Set<(reason: unknown) => void> | undefined;
  #state: { readonly reason: unknown } | undefined;
  #controller: AbortController | undefined;

  get aborted(): boolean {
    return this.#state !== undefined;
  }

  get reason(): unknown {
    return this.#state?.reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      // Each transfer of a unit listens, and some go on side by side.
      setMaxListeners(0, this.#controller.signal);
      if (this.#state !== undefined) this.#controller.abort(this.#state.reason);
    }
    return this.#controller.signal;
  }

  /** The first order counts. */
  abort(reason: unknown): void {
    if (this.#state !== undefined) return;
    this.#state = { reason };
    for (const listener of this.#listeners ?? []) listener(reason);
    this.#listeners = undefined;
    this.#controller?.abort(reason);
  }

  /** Calls back once, at once if the order came already. Answers how to call it off. */
  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#state === undefined) (this.#listeners ??= new Set()).add(listener);
    else listener(this.#state.reason);
    return () => this.#listeners?.delete(listener);
  }

  throwIfAborted(): void {
    if (this.#state !== undefined) throw this.#state.reason;
  }
}
