/**
 * gRPC requests whose message has not come whole. What came of it waits in memory, so that only few may be
 * slow at a time: of more, the slowest lose their connections. An honest request is whole within a moment.
 */
export interface UnfinishedOptions {
  readonly mostSlow: number;
  readonly longestMs: number;
  readonly monotonicMs: () => number;
  readonly cut: (peer: string) => void;
}

interface Unfinished {
  readonly peer: string;
  readonly sinceMs: number;
}

const SLOW_AFTER_MS = 1_000;

export class UnfinishedRequests {
  readonly #options: UnfinishedOptions;
  /** The oldest is the first. */
  readonly #open = new Set<Unfinished>();

  constructor(options: UnfinishedOptions) {
    this.#options = options;
  }

  /** The answer is to be called when the request is whole or gone. */
  add(peer: string): () => void {
    const unfinished = { peer, sinceMs: this.#options.monotonicMs() };
    this.#open.add(unfinished);
    return () => this.#open.delete(unfinished);
  }

  /** To be called about every second. */
  cutSlowest(): void {
    const { mostSlow, longestMs, monotonicMs, cut } = this.#options;
    const nowMs = monotonicMs();
    const slow: Unfinished[] = [];
    for (const unfinished of this.#open) {
      if (nowMs - unfinished.sinceMs < SLOW_AFTER_MS) break;
      slow.push(unfinished);
    }
    slow.forEach(({ peer, sinceMs }, place) => {
      if (slow.length - place > mostSlow || nowMs - sinceMs > longestMs) cut(peer);
    });
  }
}
