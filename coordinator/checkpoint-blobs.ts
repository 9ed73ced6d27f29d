/**
 * Which blobs checkpoints let go: a unit's newer one replaces the one before, and its end the last. Known from
 * the commits since this coordinator leads; what began earlier is found when everything is swept.
 */
import type { Fact } from './domain/facts.ts';

export class CheckpointBlobs {
  /** By job, by step and unit: SHA-256 of the newest one's files. */
  readonly #newest = new Map<number, Map<string, readonly string[]>>();

  /** Takes note of a commit. Answers the blobs that it let go; others may need them still. */
  committed(facts: readonly Fact[]): readonly string[] {
    const dropped: string[] = [];
    for (const fact of facts) {
      switch (fact.type) {
        case 'CheckpointSaved': {
          const units = this.#newest.get(fact.job) ?? new Map<string, readonly string[]>();
          this.#newest.set(fact.job, units);
          const key = keyOf(fact.step, fact.unit);
          const hashes = fact.files.map(({ sha256 }) => sha256);
          dropped.push(...(units.get(key) ?? []).filter((sha256) => !hashes.includes(sha256)));
          units.set(key, hashes);
          break;
        }
        case 'ResultsAccepted':
          for (const unit of fact.units) dropped.push(...this.#take(fact.job, fact.step, unit));
          break;
        case 'LeaseEnded':
          if (fact.next.kind === 'failed') {
            dropped.push(...this.#take(fact.job, fact.step, fact.unit));
          }
          break;
        case 'JobCancelled':
        case 'JobEnded':
          dropped.push(...[...(this.#newest.get(fact.job)?.values() ?? [])].flat());
          this.#newest.delete(fact.job);
          break;
        default:
      }
    }
    return dropped;
  }

  #take(job: number, step: number, unit: number): readonly string[] {
    const units = this.#newest.get(job);
    const key = keyOf(step, unit);
    const hashes = units?.get(key) ?? [];
    units?.delete(key);
    if (units?.size === 0) this.#newest.delete(job);
    return hashes;
  }
}

function keyOf(step: number, unit: number): string {
  return `${step}/${unit}`;
}
