/**
 * When the failures of units speak against the machine rather than against the units: then its tools are
 * proven again. Pure.
 */
import type { Result } from '../proto/gen/furrow/work/v1/work.ts';
import type { Assignment } from './assignment.ts';

/** So many different units in a row. */
const STREAK = 3;
const NOBODYS_FAULT: ReadonlySet<string> = new Set(['evicted', 'invalid-input']);

/** Failures that count against a unit. */
const DOUBTFUL: ReadonlySet<string> = new Set(['failed', 'bad-output', 'timed-out', 'stalled']);

/** Of the attempt that a result is of. */
type ConcludedAttempt = Pick<Assignment, 'attempt' | 'limits' | 'hasStandIn'>;

export class FailureStreak {
  readonly #failed = new Set<string>();

  /** Why the tools should be proven again, in one line; null when nothing speaks for it. */
  note({ jobId, step, unit, outcome }: Result, attempt?: ConcludedAttempt): string | null {
    if (outcome?.$case !== 'failure') {
      this.#failed.clear();
      return null;
    }
    const { kind, message } = outcome.value;
    if (NOBODYS_FAULT.has(kind)) return null;
    // What is found broken before it has failed for good keeps it from being tried, and its step from being given up.
    if (attempt?.hasStandIn === true && DOUBTFUL.has(kind)) {
      return attempt.attempt < attempt.limits.maxAttempts ? null : `${kind}: ${message}`;
    }
    if (kind === 'infrastructure' || kind === 'out-of-vram') return `${kind}: ${message}`;
    this.#failed.add(`${jobId} ${step} ${unit}`);
    if (this.#failed.size < STREAK) return null;
    this.#failed.clear();
    return `${STREAK} different units failed in a row, the last one: ${message}`;
  }
}
