/**
 * Answers over gRPC that wait for their reader. HTTP/2 sends only what the other end has room for, and the
 * rest waits here: a client that asks and never reads would fill the coordinator's memory. Its connection is
 * cut when too much waits, or nothing of it moves for long.
 */
export interface UnreadOptions {
  readonly perConnectionBytes: number;
  readonly inAllBytes: number;
  readonly longestMs: number;
  readonly monotonicMs: () => number;
  readonly cut: (peer: string) => void;
}

interface Unread {
  bytes: number;
  messages: number;
  movedMs: number;
}

export class UnreadAnswers {
  readonly #options: UnreadOptions;
  readonly #unread = new Map<string, Unread>();
  #bytes = 0;

  constructor(options: UnreadOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A message waits from now on. The answer is to be called when it does so no more. */
  add(peer: string, bytes: number): () => void {
    const { perConnectionBytes, inAllBytes, monotonicMs } = this.#options;
    const unread = this.#unread.get(peer) ?? { bytes: 0, messages: 0, movedMs: monotonicMs() };
    this.#unread.set(peer, unread);
    unread.bytes += bytes;
    unread.messages += 1;
    this.#bytes += bytes;
    // One message alone is never too large: the limit of messages has seen to that.
    if (unread.bytes > perConnectionBytes && unread.messages > 1) this.#options.cut(peer);
    else if (this.#bytes > inAllBytes) this.#cutLargest();
    let isWaiting = true;
    return () => {
      if (!isWaiting) return;
      isWaiting = false;
      unread.bytes -= bytes;
      unread.messages -= 1;
      unread.movedMs = monotonicMs();
      this.#bytes -= bytes;
      if (unread.messages === 0) this.#unread.delete(peer);
    };
  }

  /** To be called every few seconds. */
  cutStalled(): void {
    const { longestMs, monotonicMs, cut } = this.#options;
    const nowMs = monotonicMs();
    for (const [peer, { movedMs }] of this.#unread) if (nowMs - movedMs > longestMs) cut(peer);
  }

  #cutLargest(): void {
    let largest: string | undefined;
    let mostBytes = 0;
    for (const [peer, { bytes }] of this.#unread) {
      if (bytes <= mostBytes) continue;
      mostBytes = bytes;
      largest = peer;
    }
    if (largest !== undefined) this.#options.cut(largest);
  }
}
