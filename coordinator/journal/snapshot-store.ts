/**
 * Snapshots in JetStream: chunks on a stream of their own, one subject a snapshot. A snapshot counts
 * only once the journal says so (`SnapshotTaken`) and its bytes have the hash that stands there.
 */
import { createHash } from 'node:crypto';
import {
  DeliverPolicy,
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type NatsConnection,
} from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { SNAPSHOT_STREAM, SNAPSHOT_SUBJECTS, snapshotSubject } from '../../proto/subjects.ts';
import type { SnapshotTaken } from '../domain/facts.ts';

/** What the fact must say of a snapshot that is stored whole. */
export type StoredSnapshot = Omit<SnapshotTaken, 'type'>;

const CHUNK_BYTES = 512 * 1024;
const PUBLISH_TIMEOUT_MS = 10_000;
const READ_STALL_MS = 15_000;

export class SnapshotStore {
  readonly #nats: NatsConnection;
  readonly #manager: JetStreamManager;

  private constructor(nats: NatsConnection, manager: JetStreamManager) {
    this.#nats = nats;
    this.#manager = manager;
  }

  static async open(nats: NatsConnection, replicas: number): Promise<SnapshotStore> {
    const manager = await nats.jetstreamManager({ checkAPI: false });
    const names = await manager.streams.names(SNAPSHOT_SUBJECTS).next();
    if (!names.includes(SNAPSHOT_STREAM)) {
      await manager.streams.add({
        name: SNAPSHOT_STREAM,
        subjects: [SNAPSHOT_SUBJECTS],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.New,
        num_replicas: replicas,
      });
    }
    return new SnapshotStore(nats, manager);
  }

  /** Stores the bytes in chunks; settles when all are acknowledged. Half-stored ones are replaced. */
  async save(sequence: number, bytes: Uint8Array): Promise<StoredSnapshot> {
    const subject = snapshotSubject(sequence);
    await this.#manager.streams.purge(SNAPSHOT_STREAM, { filter: subject });
    const stream = this.#nats.jetstream({ timeout: PUBLISH_TIMEOUT_MS });
    for (let from = 0; from < bytes.byteLength; from += CHUNK_BYTES) {
      await stream.publish(subject, bytes.subarray(from, from + CHUNK_BYTES));
    }
    return { sequence, hash: hashOfBytes(bytes), sizeBytes: bytes.byteLength };
  }

  /** The bytes that are stored under this sequence. FurrowError: data-loss SNAPSHOT_DAMAGED. */
  async load(sequence: number): Promise<{ readonly bytes: Uint8Array; readonly hash: string }> {
    const subject = snapshotSubject(sequence);
    const { state } = await this.#manager.streams.info(SNAPSHOT_STREAM, {
      subjects_filter: subject,
    });
    const consumer = await this.#nats.jetstream().consumers.get(SNAPSHOT_STREAM, {
      filterSubjects: [subject],
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
    });
    const chunks: Uint8Array[] = [];
    try {
      for (let left = state.subjects?.[subject] ?? 0; left > 0; left -= 1) {
        const message = await consumer.next({ expires: READ_STALL_MS });
        if (message === null) throw damagedSnapshot(sequence, 'some of it is not delivered');
        chunks.push(message.data);
      }
    } catch (error) {
      throw damagedSnapshot(sequence, messageOf(error));
    } finally {
      await consumer.delete().catch(() => false);
    }
    const bytes = Buffer.concat(chunks);
    return { bytes, hash: hashOfBytes(bytes) };
  }

  /**
   * Deletes the snapshots of lower sequences. Never later ones: a leader that was deposed while it
   * came here would delete what its successor starts from.
   */
  async dropBelow(sequence: number): Promise<void> {
    for (const stored of await this.sequences()) {
      if (stored >= sequence) continue;
      const filter = snapshotSubject(stored);
      await this.#manager.streams.purge(SNAPSHOT_STREAM, { filter });
    }
  }

  /** Sequences of what is stored, whole or not, newest first. */
  async sequences(): Promise<number[]> {
    const { state } = await this.#manager.streams.info(SNAPSHOT_STREAM, {
      subjects_filter: SNAPSHOT_SUBJECTS,
    });
    return Object.keys(state.subjects ?? {})
      .map((subject) => Number(subject.split('.').at(-1)))
      .toSorted((a, b) => b - a);
  }
}

function hashOfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A snapshot that cannot be started from. */
export function damagedSnapshot(sequence: number, why: string): FurrowError {
  const message = `the snapshot at sequence ${sequence} is damaged: ${why}`;
  return new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message);
}
