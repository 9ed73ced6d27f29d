/**
 * What is shown without asking the command loop: jobs as of the last commit that is on disk. It stays
 * readable, with its age, while the journal cannot be reached.
 */
import type { Farm } from './domain/farm.ts';
import { type JobView, viewOfJob } from './domain/views.ts';
import type { Committed } from './ports.ts';

export class ReadModel {
  readonly #jobs = new Map<number, JobView>();
  #sequence: number;

  /** The farm as it was replayed; `sequence` is its last commit's. */
  constructor(farm: Farm, sequence: number) {
    for (const job of farm.jobs.values()) this.#jobs.set(job.number, viewOfJob(job));
    this.#sequence = sequence;
  }

  /** Journal sequence of the last commit that is shown. */
  get sequence(): number {
    return this.#sequence;
  }

  publish(commit: Committed): void {
    for (const view of commit.views) this.#jobs.set(view.number, view);
    this.#sequence = commit.sequence;
  }

  job(number: number): JobView | undefined {
    return this.#jobs.get(number);
  }

  /** Jobs with numbers below `before`, newest first. */
  list(before: number, limit: number, includeEnded: boolean): JobView[] {
    const found: JobView[] = [];
    for (const view of [...this.#jobs.values()].toReversed()) {
      if (found.length === limit) break;
      if (view.number >= before || (!includeEnded && view.endedAtMs > 0)) continue;
      found.push(view);
    }
    return found;
  }

  open(): JobView[] {
    return [...this.#jobs.values()].filter((view) => view.endedAtMs === 0);
  }
}
