/** Reads the journal from front to back, fast, in order. */
import { DeliverPolicy, type ConsumerMessages, type NatsConnection } from 'nats';
import { FurrowError } from '../../kit/furrow-error.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import type { RawMessage } from './journal-writer.ts';

/**
 * Commits go up to half a mebibyte, few are above a few KiB. Bounded by number: bounded by bytes,
 * nats.js 2.29 throws into the void when it starts the consumer anew.
 */
const READ_AHEAD = 200;
const STALL_MS = 15_000;

/**
 * The messages from `first` to `last`. An ordered consumer starts itself anew after a lost
 * connection. FurrowError: unavailable REPLAY_STALLED.
 */
export async function* readMessages(
  nats: NatsConnection,
  first: number,
  last: number,
): AsyncGenerator<RawMessage> {
  if (first > last) return;
  const consumer = await nats.jetstream().consumers.get(JOURNAL_STREAM, {
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: first,
  });
  const messages = await consumer.consume({ max_messages: READ_AHEAD });
  const stall = new StallTimer(messages);
  try {
    for await (const message of messages) {
      stall.moved();
      yield { sequence: message.seq, bytes: message.data };
      if (message.seq >= last) return;
    }
    const text = `the journal's replay stopped before sequence ${last}: NATS does not deliver, try again`;
    throw new FurrowError('unavailable', 'REPLAY_STALLED', text);
  } finally {
    stall.end();
    await messages.close();
    await consumer.delete().catch(() => false);
  }
}

/** One coarse timer: setting one for each of a hundred thousand messages would cost more than they do. */
class StallTimer {
  #hasMoved = false;
  readonly #timer: NodeJS.Timeout;

  constructor(messages: ConsumerMessages) {
    this.#timer = setInterval(() => {
      if (!this.#hasMoved) messages.stop();
      this.#hasMoved = false;
    }, STALL_MS);
  }

  moved(): void {
    this.#hasMoved = true;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
