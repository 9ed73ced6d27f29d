/**
 * What the core asks of the outside. Adapters implement these; the command loop and the simulator
 * use nothing else.
 */
import type { Readable } from 'node:stream';
import type { BlobName } from '../kit/sha256-file.ts';
import type { StoredPart } from './domain/archive.ts';
import type { GrantOrder } from './domain/assignment.ts';
import type { StopOrder } from './domain/decision.ts';
import type { Fact } from './domain/facts.ts';
import type { StallStep } from './domain/stall-watch.ts';
import type { AgentView, JobView } from './domain/views.ts';

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
  /** Agents that it touched, likewise. */
  readonly agents: readonly AgentView[];
}

/** What the command loop causes outside. All of it is on disk before it is said. */
export interface Effects {
  grant(order: GrantOrder): void;
  stop(order: StopOrder): void;
  /** Asks for leases back that have not begun. */
  retract(order: StopOrder): void;
  committed(commit: Committed): void;
  /** The farm stands still, or goes on again: what was noticed, and what is done. */
  stalled(step: StallStep): void;
  /** Another coordinator leads: nothing may be said or done any more. */
  superseded(message: string): void;
}

/** Who uploads: a client, or an agent that hands in the result of a lease. */
export type UploadPurpose = 'client' | 'result';

/** The right to write so many bytes. */
export interface Admission {
  /** Bytes that are on the disk now, and so no longer free. */
  readonly written: (bytes: number) => void;
  /** Gives back what was not written. */
  readonly end: () => void;
}

/** Room on the disk that uploads are written to. */
export interface UploadSpace {
  /** Rejects with FurrowError exhausted DISK_FULL that names free and needed bytes. */
  admit(bytes: number, purpose: UploadPurpose): Promise<Admission>;
  /** Free bytes on the disk, less what admitted uploads may still write. */
  freeBytes(): Promise<number>;
  /** True while clients' uploads would be refused whatever their size. */
  low(): Promise<boolean>;
}

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What a new leader knows of the blobs of those before it. */
export interface BlobReign {
  readonly epoch: number;
  /** What its farm refers to as the reign begins; worked out when it is asked for. */
  readonly referenced: () => ReadonlySet<string>;
}

/** True for every blob that something decided or committed refers to. */
export type Referenced = (sha256: string) => boolean;

/**
 * Content-addressed blobs. What is found here is whole: a name is given only after the bytes were
 * hashed and are durable. Everything rejects with FurrowError, and any of it with unavailable
 * BLOB_STORE_UNREACHABLE where the store is not on our own disk.
 */
export interface BlobStore {
  /** Where the blobs are, for people: a folder, or s3://bucket/prefix. */
  readonly location: string;
  /** This coordinator's own folder, where uploads lie until they are whole. `space` is its disk's. */
  readonly directory: string;
  readonly space: UploadSpace;
  /** False where they lie there only on their way elsewhere, and are sent again after a power loss. */
  readonly flushesUploads: boolean;
  /** One line when it does not answer now; undefined when it does. */
  trouble(): Promise<string | undefined>;
  /**
   * This coordinator leads from now on. What the one before promised to keep is not known here: nothing
   * is swept within the next hour.
   */
  beginReign(reign: BlobReign): void;
  /** Length in bytes, or undefined when the blob is not here. */
  sizeOf(sha256: string): Promise<number | undefined>;
  /** Those that are not here, in the order asked; the others are pinned for an hour. */
  findMissing(hashes: readonly string[]): Promise<string[]>;
  /** The same, but pins nothing: for those who see to it themselves that nothing goes meanwhile. */
  lookForMissing(hashes: readonly string[]): Promise<string[]>;
  /**
   * Stores what `source` yields. Settles when the blob is durable. Rejects with FurrowError: invalid
   * DIGEST_MISMATCH or SIZE_MISMATCH, exhausted DISK_FULL; else with the source's own error.
   */
  receive(blob: BlobName, source: Readable, purpose: UploadPurpose): Promise<void>;
  /**
   * Takes a file in `directory`, whose content was hashed already, into the store. The file is gone
   * afterwards, also when its blob was here before. It stays when this rejects, but for unavailable
   * UPLOAD_LOST and exhausted DISK_FULL: what the disk failed to keep is deleted.
   */
  adopt(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void>;
  /**
   * A blob's bytes, or a range of them. Rejects with FurrowError: not-found BLOB_MISSING; data-loss
   * BLOB_DAMAGED, and then the blob is missing from now on, so that an upload mends it.
   */
  read(sha256: string, range?: ByteRange): Promise<Readable>;
  /**
   * Reads a stored blob again, for a reader who got other bytes than its name promises. Rejects as
   * `read` does when they are not what they should be.
   */
  verify(sha256: string): Promise<void>;
  /**
   * Deletes what nothing refers to and nobody was told about within the last hour. Answers how many
   * blobs went. Does nothing in the first hour, because pins do not survive a restart.
   */
  sweep(referenced: Referenced): Promise<number>;
  /**
   * Deletes intermediates at once when their last consumer is done. Unlike `sweep` it does not wait
   * for the pin of the result that brought them, which is used up. Answers how many went.
   */
  release(hashes: readonly string[], referenced: Referenced): Promise<number>;
}

/** A segment's list of its jobs, and the jobs themselves. */
export type ArchivePart = 'index' | 'images';

/** Where jobs lie that have left the memory: all coordinators of a farm reach the same. */
export interface ArchiveStore {
  /** Settles when the bytes are durable. */
  save(segment: string, part: ArchivePart, bytes: Uint8Array): Promise<StoredPart>;
  /** What is stored, be it damaged or gone. Rejects when the store does not answer. */
  load(segment: string, part: ArchivePart): Promise<Uint8Array>;
  drop(segment: string): Promise<void>;
  /** Names of what is stored, whole or not. */
  segments(): Promise<string[]>;
}
