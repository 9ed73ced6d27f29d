/**
 * What nats-server keeps: on its disk the journal's stream, the snapshots and the archive, in memory the leader's key. Commits are stored as the
 * bytes that the real codec makes; the store compares sequences and nothing else.
 */
import { decodeCommit } from '../../coordinator/journal/commit-codec.ts';
import type { PublishAnswer, RawMessage } from '../../coordinator/journal/journal-writer.ts';
import type { CommitRecord } from '../../coordinator/ports.ts';

export class JournalStore {
  /** Chunks of each snapshot, by its sequence. */
  readonly snapshots = new Map<number, Uint8Array[]>();
  /** Chunks of each part of the archive, as `<segment>/<part>`. */
  readonly archive = new Map<string, Uint8Array[]>();
  /** Snapshots whose bytes are not what they were. */
  readonly damaged = new Set<number>();
  /** True while the disk is full. */
  isFull = false;
  /** Longest time that a write takes to reach the disk. */
  mostDiskMs = 0;
  readonly leaderKey = new StoredKey();
  #messages: Uint8Array[] = [];
  #firstSequence = 1;
  readonly #onStored: (commit: CommitRecord) => void;

  /** `onStored` is called in the moment in which a commit is on disk. */
  constructor(onStored: (commit: CommitRecord) => void) {
    this.#onStored = onStored;
  }

  /** Sequence of the first message that is kept. */
  get firstSequence(): number {
    return this.#firstSequence;
  }

  get lastSequence(): number {
    return this.#firstSequence + this.#messages.length - 1;
  }

  append(bytes: Uint8Array, expectedLast: number): PublishAnswer {
    if (expectedLast !== this.lastSequence) {
      return { state: 'not-stored', message: `wrong last sequence: ${this.lastSequence}` };
    }
    if (this.isFull) return { state: 'rejected', message: 'the disk is full' };
    this.#messages.push(bytes);
    const sequence = this.lastSequence;
    this.#onStored(decodeCommit(bytes, sequence));
    return { state: 'stored', sequence };
  }

  tail(): RawMessage | undefined {
    const bytes = this.#messages.at(-1);
    return bytes && { sequence: this.lastSequence, bytes };
  }

  /** Messages from this sequence on. */
  from(sequence: number): RawMessage[] {
    return this.#messages.slice(Math.max(0, sequence - this.#firstSequence)).map((bytes, index) => {
      return { sequence: Math.max(sequence, this.#firstSequence) + index, bytes };
    });
  }

  at(sequence: number): RawMessage | undefined {
    const bytes = this.#messages[sequence - this.#firstSequence];
    return bytes && { sequence, bytes };
  }

  /** Deletes all messages up to this sequence. */
  purgeThrough(sequence: number): void {
    const gone = Math.max(0, sequence - this.#firstSequence + 1);
    this.#messages = this.#messages.slice(gone);
    this.#firstSequence += gone;
  }
}

type SeenKey = { readonly note: string | undefined; readonly revision: number };

const NO_KEY: SeenKey = { note: undefined, revision: 0 };

/** The key of a bucket in memory, as NATS has it. */
export class StoredKey {
  #last = NO_KEY;
  #revisions = 0;
  #readAs: SeenKey | undefined;

  read(): SeenKey {
    return this.#readAs ?? this.#last;
  }

  write(note: string, revision: number): number | undefined {
    if (revision !== this.#last.revision) return undefined;
    return this.#put(note);
  }

  remove(revision: number): void {
    if (revision === this.#last.revision) this.#put(undefined);
  }

  /** Its time is over, or is said to be. */
  expire(): void {
    this.#last = NO_KEY;
  }

  /** nats-server was started again. */
  forget(): void {
    this.expire();
    this.#revisions = 0;
  }

  /** Another replica answers, or an end is late: from now on the key is read as it is. */
  freeze(): void {
    this.#readAs = this.read();
  }

  thaw(): void {
    this.#readAs = undefined;
  }

  #put(note: string | undefined): number {
    this.#revisions += 1;
    this.#last = { note, revision: this.#revisions };
    return this.#revisions;
  }
}
