/**
 * Snapshots in JetStream. A snapshot counts only once the journal says so (`SnapshotTaken`) and its
 * bytes have the hash that stands there.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { FurrowError } from '../../kit/furrow-error.ts';
import { SNAPSHOT_STREAM, SNAPSHOT_SUBJECTS, snapshotSubject } from '../../proto/subjects.ts';
import type { SnapshotTaken } from '../domain/facts.ts';
import { ChunkedObjects, hashOfBytes } from './chunked-objects.ts';
import { natsTrouble } from './nats-trouble.ts';

/** A start that gave up at the first time-out would be a restart for nothing. */
const LOAD_TRIES = 3;
const LOAD_AGAIN_MS = 1_000;

/** What the fact must say of a snapshot that is stored whole. */
export type StoredSnapshot = Omit<SnapshotTaken, 'type'>;

export class SnapshotStore {
  readonly #objects: ChunkedObjects;

  private constructor(objects: ChunkedObjects) {
    this.#objects = objects;
  }

  static async open(nats: NatsConnection, replicas: number): Promise<SnapshotStore> {
    const stream = { name: SNAPSHOT_STREAM, subjects: SNAPSHOT_SUBJECTS, replicas };
    return new SnapshotStore(await ChunkedObjects.open(nats, stream));
  }

  /** Stores the bytes; settles when all are acknowledged. Half-stored ones are replaced. */
  async save(sequence: number, bytes: Uint8Array): Promise<StoredSnapshot> {
    await this.#objects.save(snapshotSubject(sequence), bytes);
    return { sequence, hash: hashOfBytes(bytes), sizeBytes: bytes.byteLength };
  }

  /**
   * The bytes that are stored under this sequence; the hash shows whether they are damaged. That NATS
   * does not deliver them says nothing of them: nobody may fall back to an older snapshot for it.
   * FurrowError: unavailable NOT_DELIVERED, JOURNAL_UNREACHABLE; failed-precondition NATS_REFUSES.
   */
  async load(sequence: number): Promise<{ readonly bytes: Uint8Array; readonly hash: string }> {
    for (let tries = 1; ; tries += 1) {
      try {
        const bytes = await this.#objects.load(snapshotSubject(sequence));
        return { bytes, hash: hashOfBytes(bytes) };
      } catch (error) {
        const trouble = natsTrouble(error);
        const passes = trouble instanceof FurrowError && trouble.retryable;
        if (!passes || tries >= LOAD_TRIES) throw trouble;
        await delay(LOAD_AGAIN_MS);
      }
    }
  }

  /**
   * Deletes the snapshots of lower sequences. Never later ones: a leader that was deposed while it
   * came here would delete what its successor starts from.
   */
  async dropBelow(sequence: number): Promise<void> {
    for (const stored of await this.sequences()) {
      if (stored < sequence) await this.#objects.drop(snapshotSubject(stored));
    }
  }

  /** Sequences of what is stored, whole or not, newest first. */
  async sequences(): Promise<number[]> {
    const subjects = await this.#objects.subjects();
    return subjects.map((subject) => Number(subject.split('.').at(-1))).toSorted((a, b) => b - a);
  }
}

/** A snapshot that cannot be started from. */
export function damagedSnapshot(sequence: number, why: string): FurrowError {
  const message = `the snapshot at sequence ${sequence} is damaged: ${why}`;
  return new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message);
}
