/**
 * GPU memory by process, as the driver told it last. It tells little where processes cannot be told apart
 * (Windows, some containers): then nothing is known, which is 0.
 */
export interface ProcessVram {
  readonly pid: number;
  readonly gpuId: string;
  readonly usedBytes: number;
}

export class VramUse {
  #uses: readonly ProcessVram[] = [];

  note(uses: readonly ProcessVram[]): void {
    this.#uses = uses;
  }

  /** What these processes hold together on that GPU where they hold most, in bytes; 0 when unknown. */
  bytesOf(pids: ReadonlySet<number>): number {
    if (this.#uses.length === 0) return 0;
    const byGpu = new Map<string, number>();
    for (const { pid, gpuId, usedBytes } of this.#uses) {
      if (pids.has(pid)) byGpu.set(gpuId, (byGpu.get(gpuId) ?? 0) + usedBytes);
    }
    return Math.max(0, ...byGpu.values());
  }
}
