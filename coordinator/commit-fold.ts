/** The farm of one that does not lead: each commit that it reads is applied, then shown. */
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { apply } from './domain/apply.ts';
import type { Farm } from './domain/farm.ts';
import { StepViews } from './domain/step-views.ts';
import { Touched } from './domain/touched.ts';
import type { Committed, CommitRecord } from './ports.ts';

export class CommitFold {
  readonly farm: Farm;
  readonly #publish: (commit: Committed) => void;
  readonly #stepViews = new StepViews();
  #commitsSince: number;

  /** `commitsSince`: those behind the newest snapshot that the farm was loaded with. */
  constructor(farm: Farm, commitsSince: number, publish: (commit: Committed) => void) {
    this.farm = farm;
    this.#commitsSince = commitsSince;
    this.#publish = publish;
  }

  /** Commits behind the newest snapshot. */
  get commitsSince(): number {
    return this.#commitsSince;
  }

  /** The next commit of the journal. FurrowError: internal FOLD_FAILED. */
  take(commit: CommitRecord): void {
    const { farm } = this;
    const touched = new Touched();
    try {
      for (const fact of commit.facts) {
        touched.note(farm, fact);
        apply(farm, fact);
        if (fact.type === 'SnapshotTaken') this.#commitsSince = 0;
      }
    } catch (error) {
      // Passed over by nobody: the fold would be another farm.
      const message = `commit ${commit.number} cannot be applied: ${messageOf(error)}`;
      throw new FurrowError('internal', 'FOLD_FAILED', message, { cause: error });
    }
    this.#commitsSince += 1;
    const { number, sequence, atMs, facts } = commit;
    this.#publish({ number, sequence, atMs, facts, ...touched.views(farm, this.#stepViews) });
  }
}
