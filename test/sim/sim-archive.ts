import type { StoredPart } from '../../coordinator/domain/archive.ts';
import { hashOf } from '../../coordinator/journal/commit-codec.ts';
import type { ArchivePart, ArchiveStore } from '../../coordinator/ports.ts';
import { change, type NatsClient } from './nats-client.ts';

/** The archive's stream. It is read without faults; what is written there meets them. */
export class SimArchiveStore implements ArchiveStore {
  readonly #client: NatsClient;

  constructor(client: NatsClient) {
    this.#client = client;
  }

  async save(segment: string, part: ArchivePart, bytes: Uint8Array): Promise<StoredPart> {
    const { archive } = this.#client.store;
    const key = `${segment}/${part}`;
    await change(this.#client, 'archive', () => void archive.set(key, []));
    const half = Math.ceil(bytes.byteLength / 2);
    for (const chunk of [bytes.slice(0, half), bytes.slice(half)]) {
      await change(this.#client, 'archive', () => archive.get(key)?.push(chunk));
    }
    return { hash: hashOf(bytes), sizeBytes: bytes.byteLength };
  }

  load(segment: string, part: ArchivePart): Promise<Uint8Array> {
    const chunks = this.#client.store.archive.get(`${segment}/${part}`) ?? [];
    return Promise.resolve(Buffer.concat(chunks));
  }

  async drop(segment: string): Promise<void> {
    const { archive } = this.#client.store;
    for (const part of ['index', 'images']) {
      await change(this.#client, 'archive', () => archive.delete(`${segment}/${part}`));
    }
  }

  segments(): Promise<string[]> {
    const keys = [...this.#client.store.archive.keys()];
    return Promise.resolve([...new Set(keys.map((key) => key.split('/')[0] ?? ''))]);
  }
}
