/**
 * What the core asks of the outside. Adapters implement these; the command loop and the simulator
 * use nothing else.
 */
import type { Fact } from './domain/facts.ts';
import type { Verdict } from './domain/decide.ts';
import type { Token } from './domain/token.ts';

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
 * - `committed`: on disk; `sequence` is its place.
 * - `superseded`: another writer's commit stands there: step down and exit.
 * - `refused`: the store takes no appends (full, too large): stop deciding, say so, try again later.
 */
export type AppendOutcome =
  | { readonly state: 'committed'; readonly sequence: number }
  | { readonly state: 'superseded'; readonly message: string }
  | { readonly state: 'refused'; readonly message: string };

/** An encoded, measured commit that can be sent and sent again byte for byte. */
export interface SealedCommit {
  readonly number: number;
  readonly bytes: Uint8Array;
}

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

/** What the agent answered to a grant. */
export type GrantAnswer =
  | { readonly state: 'answered'; readonly refused: readonly GrantRefusal[] }
  /** Nobody listens on that subject: a refusal of all. */
  | { readonly state: 'no-responders' }
  /** No answer in time: unknown, not free. */
  | { readonly state: 'unknown' };

export interface GrantRefusal {
  readonly token: Token;
  readonly reason: string;
}

/** Where blobs are: what the domain must know of them. */
export interface BlobIndex {
  has(sha256: string): boolean;
}

export type { Verdict };
