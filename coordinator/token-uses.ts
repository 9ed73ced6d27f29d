/** When tokens were used last: kept in memory, and written down now and then. */
import type { Command } from './domain/commands.ts';

const WRITE_EVERY_MS = 60_000;

export class TokenUses {
  readonly #last = new Map<string, number>();
  #news = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  note(id: string, atMs: number): void {
    this.#last.set(id, atMs);
    this.#news.add(id);
  }

  /** Unix time in milliseconds; 0 when it was not used since this process began. */
  lastOf(id: string): number {
    return this.#last.get(id) ?? 0;
  }

  /** `submit` rejects where this coordinator does not lead: whoever does hears of its own uses. */
  start(submit: (command: Command) => Promise<unknown>): void {
    this.#timer = setInterval(() => {
      const uses = [...this.#news].map((id) => ({ id, atMs: this.lastOf(id) }));
      this.#news = new Set();
      if (uses.length > 0) void submit({ type: 'UseTokens', uses }).catch(() => {});
    }, WRITE_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
