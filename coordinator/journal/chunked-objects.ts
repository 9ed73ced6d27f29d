/**
 * Larger bytes in JetStream: chunks on a stream of their own, one subject an object. Whoever stores one
 * keeps its hash elsewhere: what is half-stored or damaged is known by that alone.
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
import { FurrowError } from '../../kit/furrow-error.ts';

const CHUNK_BYTES = 512 * 1024;
const PUBLISH_TIMEOUT_MS = 10_000;
const READ_STALL_MS = 15_000;

export interface ObjectStream {
  readonly name: string;
  /** With a wildcard: all that it takes. */
  readonly subjects: string;
  readonly replicas: number;
}

export class ChunkedObjects {
  readonly #nats: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #stream: ObjectStream;

  private constructor(nats: NatsConnection, manager: JetStreamManager, stream: ObjectStream) {
    this.#nats = nats;
    this.#manager = manager;
    this.#stream = stream;
  }

  static async open(nats: NatsConnection, stream: ObjectStream): Promise<ChunkedObjects> {
    const manager = await nats.jetstreamManager({ checkAPI: false });
    const names = await manager.streams.names(stream.subjects).next();
    if (!names.includes(stream.name)) {
      await manager.streams.add({
        name: stream.name,
        subjects: [stream.subjects],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.New,
        num_replicas: stream.replicas,
      });
    }
    return new ChunkedObjects(nats, manager, stream);
  }

  /** Stores the bytes; settles when all are acknowledged. A half-stored object is replaced. */
  async save(subject: string, bytes: Uint8Array): Promise<void> {
    await this.drop(subject);
    const stream = this.#nats.jetstream({ timeout: PUBLISH_TIMEOUT_MS });
    for (let from = 0; from < bytes.byteLength; from += CHUNK_BYTES) {
      await stream.publish(subject, bytes.subarray(from, from + CHUNK_BYTES));
    }
  }

  /**
   * What is stored of the object: nothing, a part, or all of it. Rejects with NatsError, or FurrowError
   * unavailable NOT_DELIVERED, when NATS does not hand over what it says that it has.
   */
  async load(subject: string): Promise<Uint8Array> {
    const { name } = this.#stream;
    const { state } = await this.#manager.streams.info(name, { subjects_filter: subject });
    const consumer = await this.#nats.jetstream().consumers.get(name, {
      filterSubjects: [subject],
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
    });
    const chunks: Uint8Array[] = [];
    try {
      for (let left = state.subjects?.[subject] ?? 0; left > 0; left -= 1) {
        const message = await consumer.next({ expires: READ_STALL_MS });
        if (message === null) throw notDelivered(name, subject);
        chunks.push(message.data);
      }
    } finally {
      await consumer.delete().catch(() => false);
    }
    return Buffer.concat(chunks);
  }

  async drop(subject: string): Promise<void> {
    await this.#manager.streams.purge(this.#stream.name, { filter: subject });
  }

  /** Subjects of what is stored, whole or not. */
  async subjects(): Promise<string[]> {
    const { name, subjects } = this.#stream;
    const { state } = await this.#manager.streams.info(name, { subjects_filter: subjects });
    return Object.keys(state.subjects ?? {});
  }
}

function notDelivered(stream: string, subject: string): FurrowError {
  const message = `NATS does not deliver all of ${subject} in its stream ${stream}: try again; if it stays so, look at that server's log and disk`;
  return new FurrowError('unavailable', 'NOT_DELIVERED', message);
}

export function hashOfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
