/**
 * What the core asks of the outside. Adapters implement these; the command loop and the simulator
 * use nothing else.
 */
import type { GrantOrder } from './domain/assignment.ts';
import type { StopOrder } from './domain/decision.ts';
import type { Fact } from './domain/facts.ts';
import type { JobView } from './domain/views.ts';

/** A commit as it stands in the journal. */
export interface CommitRecord {
  readonly farmId: string;
  readonly epoch: number;
  readonly number: number;
  readonly atMs: number;
  /** Sequence of its message in the stream. */
  readonly sequence: number;
  readonly facts: readonly Fact[];
}

/**
 * The outcome of one append.
 * - `committed`: on disk; `sequence` is its place, `number` the commit's.
 * - `superseded`: another writer's commit stands there: step down and exit.
 * - `refused`: the store takes no appends (full, too large) and has not taken this one: stop
 *   deciding, say so, offer the same facts again later.
 */
export type AppendOutcome =
  | { readonly state: 'committed'; readonly number: number; readonly sequence: number }
  | { readonly state: 'superseded'; readonly message: string }
  | { readonly state: 'refused'; readonly message: string };

/**
 * The leader's journal. One append is in flight at a time; the adapter resolves doubt by itself
 * (reads the tail, sends the same bytes again) and settles only when the outcome is known.
 */
export interface Journal {
  /** Bytes that a fact takes in a commit. */
  measure(fact: Fact): number;
  /** Facts of one commit may take so many bytes together. */
  readonly maxCommitBytes: number;
  /** Appends the facts as the next commit. Settles only when the outcome is certain. */
  append(facts: readonly Fact[], epoch: number, atMs: number): Promise<AppendOutcome>;
}

/** A commit that is on disk, and what it changed for those who look on. */
export interface Committed {
  readonly number: number;
  readonly sequence: number;
  readonly atMs: number;
  readonly facts: readonly Fact[];
  /** Jobs that it touched, as they were right after it. */
  readonly views: readonly JobView[];
}

/** What the command loop causes outside. All of it is on disk before it is said. */
export interface Effects {
  grant(order: GrantOrder): void;
  stop(order: StopOrder): void;
  committed(commit: Committed): void;
  /** Another coordinator leads: nothing may be said or done any more. */
  superseded(message: string): void;
}
