/** The leader's key as one coordinator reaches it. */
import type { KeyStore } from '../../coordinator/journal/election.ts';
import { demand, type NatsClient } from './nats-client.ts';

export function simKeyStore(client: NatsClient): KeyStore {
  const key = client.store.leaderKey;
  return {
    read: () => demand(client, { what: 'key read', serve: () => key.read() }),
    write: (note, revision) =>
      demand(client, { what: 'key write', serve: () => key.write(note, revision) }),
    remove: (revision) => demand(client, { what: 'key remove', serve: () => key.remove(revision) }),
  };
}
