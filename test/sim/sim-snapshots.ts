import { hashOf } from '../../coordinator/journal/commit-codec.ts';
import type { StoredSnapshot } from '../../coordinator/journal/snapshot-store.ts';
import { change, type NatsClient } from './nats-client.ts';

const CHUNK_BYTES = 16 * 1024;

/**
 * The snapshots' stream. A start reads it without faults: one that fails starts again. What is written
 * there meets them.
 */
export class SimSnapshotStore {
  readonly #client: NatsClient;

  constructor(client: NatsClient) {
    this.#client = client;
  }

  async save(sequence: number, bytes: Uint8Array): Promise<StoredSnapshot> {
    const { snapshots } = this.#client.store;
    await change(this.#client, 'snapshot', () => void snapshots.set(sequence, []));
    for (let from = 0; from < bytes.byteLength; from += CHUNK_BYTES) {
      const chunk = Buffer.from(bytes.subarray(from, from + CHUNK_BYTES));
      await change(this.#client, 'snapshot', () => snapshots.get(sequence)?.push(chunk));
    }
    return { sequence, hash: hashOf(bytes), sizeBytes: bytes.byteLength };
  }

  load(sequence: number): Promise<{ readonly bytes: Uint8Array; readonly hash: string }> {
    const bytes = Buffer.concat(this.#client.store.snapshots.get(sequence) ?? []);
    return Promise.resolve({ bytes, hash: hashOf(bytes) });
  }

  sequences(): Promise<number[]> {
    return Promise.resolve([...this.#client.store.snapshots.keys()].toSorted((a, b) => b - a));
  }

  async dropBelow(sequence: number): Promise<void> {
    for (const stored of await this.sequences()) {
      if (stored < sequence)
        await change(this.#client, 'snapshot', () => this.#client.store.snapshots.delete(stored));
    }
  }
}
