/**
 * Highest resident memory of process groups. One look at the process table a second serves all that
 * run; with nothing running there is none.
 */
import { readProcess, readProcesses } from './process-table.ts';

const SAMPLE_MS = 1_000;
/** The first look comes early, so that a short process is seen at all. */
const FIRST_SAMPLE_MS = 100;

export class MemorySampler {
  readonly #peaks = new Map<number, number>();
  #timer: NodeJS.Timeout | null = null;
  /** One for all that start within its time. */
  #early: NodeJS.Timeout | null = null;

  watch(group: number): void {
    this.#peaks.set(group, 0);
    if (this.#early === null) {
      this.#early = setTimeout(() => {
        this.#early = null;
        this.#sample();
      }, FIRST_SAMPLE_MS).unref();
    }
    this.#timer ??= setInterval(() => this.#sample(), SAMPLE_MS).unref();
  }

  /** Answers the peak in bytes; 0 when it was never seen. */
  forget(group: number): number {
    const peak = this.#peaks.get(group) ?? 0;
    this.#peaks.delete(group);
    if (this.#peaks.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    return peak;
  }

  /** Whether the process is in a group that is watched. */
  isWatched(pid: number): boolean {
    const group = readProcess(pid)?.group;
    return group !== undefined && this.#peaks.has(group);
  }

  /** Resident memory of all groups that are watched, in bytes. */
  residentBytes(): number {
    if (this.#peaks.size === 0) return 0;
    return [...this.#sample().values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  #sample(): ReadonlyMap<number, number> {
    const resident = new Map<number, number>();
    if (this.#peaks.size === 0) return resident;
    for (const { group, residentBytes } of readProcesses()) {
      if (this.#peaks.has(group)) resident.set(group, (resident.get(group) ?? 0) + residentBytes);
    }
    for (const [group, bytes] of resident) {
      this.#peaks.set(group, Math.max(bytes, this.#peaks.get(group) ?? 0));
    }
    return resident;
  }
}
