/** What happened, read back from the journal: for watchers who were away. */
import type { NatsConnection } from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { CommitRecord } from '../ports.ts';
import { decodeCommit } from './commit-codec.ts';
import { readMessages } from './read-messages.ts';

/**
 * Commits from the one after `after` up to `last`, both sequences of the stream. FurrowError: unavailable
 * JOURNAL_UNREACHABLE, REPLAY_STALLED; data-loss JOURNAL_DAMAGED.
 */
export async function* readHistory(
  nats: NatsConnection,
  after: number,
  last: number,
): AsyncGenerator<CommitRecord> {
  try {
    for await (const message of readMessages(nats, after + 1, last)) {
      yield decodeCommit(message.bytes, message.sequence);
    }
  } catch (error) {
    if (error instanceof FurrowError) throw error;
    // NATS is away, and comes back: a watcher may ask again.
    const text = `the journal cannot be read (${messageOf(error)}): try again in a while`;
    throw new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', text, { cause: error });
  }
}
