/**
 * Which GPUs may be used. An ill one is unusable at once, and usable again only when it was well for a
 * while without a break; each further illness makes that while longer. Pure: time comes as an argument.
 */

/** The first trust; doubled with every further illness. */
const RECOVERY_MS = 30_000;
const LONGEST_RECOVERY_MS = 15 * 60_000;

type Health =
  | { readonly state: 'ill'; readonly reason: string }
  | { readonly state: 'recovering'; readonly reason: string; readonly sinceMs: number }
  /** What could not be ended holds it: only a new start of the agent looks again. */
  | { readonly state: 'given-up'; readonly reason: string };

export class GpuHealth {
  readonly #recoveryMs: number;
  /** Those that are not here are well. */
  readonly #unwell = new Map<string, Health>();
  readonly #illnesses = new Map<string, number>();

  constructor(recoveryMs = RECOVERY_MS) {
    this.#recoveryMs = recoveryMs;
  }

  /** `fault`: what is wrong with it now; null when nothing is. */
  observe(id: string, fault: string | null, nowMs: number): void {
    const health = this.#unwell.get(id);
    if (health?.state === 'given-up') return;
    if (fault !== null) {
      if (health?.state !== 'ill') {
        this.#illnesses.set(id, (this.#illnesses.get(id) ?? 0) + 1);
      }
      this.#unwell.set(id, { state: 'ill', reason: fault });
      return;
    }
    if (health === undefined) return;
    if (health.state === 'ill') {
      this.#unwell.set(id, { ...health, state: 'recovering', sinceMs: nowMs });
    } else if (nowMs - health.sinceMs >= this.#recoveryMsOf(id)) this.#unwell.delete(id);
  }

  giveUp(id: string, reason: string): void {
    this.#unwell.set(id, { state: 'given-up', reason });
  }

  /** Why it must not be used; null when it may. The same words as long as nothing changes. */
  reasonOf(id: string): string | null {
    const health = this.#unwell.get(id);
    if (health === undefined) return null;
    if (health.state !== 'recovering') return health.reason;
    const seconds = Math.round(this.#recoveryMsOf(id) / 1000);
    return `answers again and has to stay well for ${seconds} s (it was: ${health.reason})`;
  }

  #recoveryMsOf(id: string): number {
    const relapses = Math.max(0, (this.#illnesses.get(id) ?? 1) - 1);
    return Math.min(LONGEST_RECOVERY_MS, this.#recoveryMs * 2 ** Math.min(relapses, 16));
  }
}
