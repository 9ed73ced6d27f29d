/** What happened, read back from the journal: for watchers who were away. */
import type { NatsConnection } from 'nats';
import type { CommitRecord } from '../ports.ts';
import { decodeCommit } from './commit-codec.ts';
import { readMessages } from './read-messages.ts';

/** Commits from the one after `after` up to `last`, both sequences of the stream. */
export async function* readHistory(
  nats: NatsConnection,
  after: number,
  last: number,
): AsyncGenerator<CommitRecord> {
  for await (const message of readMessages(nats, after + 1, last)) {
    yield decodeCommit(message.bytes, message.sequence);
  }
}
