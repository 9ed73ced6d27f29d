/**
 * When which lease is to be looked at next: nothing can be due there before. A tick that looked at every
 * lease of a large farm would take longer than the pause to the next one.
 *
 * Times are milliseconds of the monotonic clock.
 */
import type { Token } from './token.ts';

/** Looks that fall into the same span are due at its start: too early for some, too late for none. */
const SPAN_MS = 250;

export class LeaseLooks {
  /** By span; a lease whose look was set anew leaves its old one behind. */
  readonly #tokens = new Map<number, Token[]>();
  readonly #spanOf = new Map<Token, number>();

  set(token: Token, atMs: number): void {
    const span = Math.floor(atMs / SPAN_MS);
    if (this.#spanOf.get(token) === span) return;
    this.#spanOf.set(token, span);
    const tokens = this.#tokens.get(span);
    if (tokens === undefined) this.#tokens.set(span, [token]);
    else tokens.push(token);
  }

  delete(token: Token): void {
    this.#spanOf.delete(token);
  }

  /** Leases whose time has come. They are not named again unless it is set anew. */
  take(nowMs: number): Token[] {
    const due: Token[] = [];
    const spans = [...this.#tokens.keys()].filter((span) => span * SPAN_MS <= nowMs);
    for (const span of spans.toSorted((a, b) => a - b)) {
      for (const token of this.#tokens.get(span) ?? []) {
        if (this.#spanOf.get(token) !== span) continue;
        this.#spanOf.delete(token);
        due.push(token);
      }
      this.#tokens.delete(span);
    }
    return due;
  }
}
