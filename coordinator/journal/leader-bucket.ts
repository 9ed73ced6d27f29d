/** The leader's key in a bucket of NATS: in memory, so that no fsync delays a sign of life. */
import { NatsError, StorageType, type KV, type NatsConnection } from 'nats';
import { LEADER_BUCKET } from '../../proto/subjects.ts';
import type { KeyStore } from './election.ts';

const KEY = 'leader';
/** Only tidies up after the last coordinator: who is silent is seen much sooner. */
const TTL_MS = 60_000;

/** `replicas`: copies of the key in a cluster. */
export function leaderBucket(nats: NatsConnection, replicas: number): KeyStore {
  const options = { ttl: TTL_MS, history: 1, replicas, storage: StorageType.Memory } as const;
  // Opened each time: the bucket lives in memory and is gone when the server was restarted.
  const open = (): Promise<KV> => nats.jetstream().views.kv(LEADER_BUCKET, options);
  return {
    read: async () => {
      const entry = await (await open()).get(KEY);
      const note = entry?.operation === 'PUT' ? entry.string() : undefined;
      return { note, revision: entry?.revision ?? 0 };
    },
    write: async (note, revision) => {
      const bucket = await open();
      try {
        return await bucket.put(KEY, note, { previousSeq: revision });
      } catch (error) {
        if (error instanceof NatsError && error.api_error !== undefined) return undefined;
        throw error;
      }
    },
    remove: async (revision) => {
      await (await open()).delete(KEY, { previousSeq: revision });
    },
  };
}
