/** Bytes that may be in memory at once, shared by everything that sends. First come, first served. */
export class ByteBudget {
  readonly #totalBytes: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  #usedBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  /** Settles when there is room; what is larger than the whole budget goes alone. */
  async take(bytes: number): Promise<() => void> {
    await new Promise<void>((go) => {
      this.#waiting.push({ bytes, go });
      this.#serve();
    });
    let isTaken = true;
    return () => {
      if (isTaken) this.#usedBytes -= bytes;
      isTaken = false;
      this.#serve();
    };
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#usedBytes > 0 && this.#usedBytes + next.bytes > this.#totalBytes) return;
      this.#usedBytes += next.bytes;
      this.#waiting.shift();
      next.go();
    }
  }
}
