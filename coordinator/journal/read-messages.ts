/** Reads the journal from front to back, fast, in order. */
import { DeliverPolicy, type ConsumerMessages, type NatsConnection } from 'nats';
import { FurrowError } from '../../kit/furrow-error.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import type { RawMessage } from './journal-stream.ts';

/** Commits go up to half a mebibyte: bounded by bytes, so that a replay needs little memory. */
const READ_AHEAD_BYTES = 16 * 1024 * 1024;
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
  const messages = await consumer.consume({ max_bytes: READ_AHEAD_BYTES });
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
