/** Reads the journal from front to back, fast, in order. */
import { DeliverPolicy, type ConsumerMessages, type NatsConnection } from 'nats';
import { FurrowError } from '../../kit/furrow-error.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import { readMessage } from './journal-stream.ts';
import type { RawMessage } from './journal-writer.ts';

/**
 * Commits go up to half a mebibyte, few are above a few KiB. Bounded by number: bounded by bytes,
 * nats.js 2.29 throws into the void when it starts the consumer anew.
 */
const READ_AHEAD = 200;
const STALL_MS = 5_000;
/** Messages asked for at once where nothing is delivered. */
const ASKED_AT_ONCE = 50;

/**
 * The messages from `first` to `last`. An ordered consumer starts itself anew after a lost
 * connection; but a cluster that has just elected can accept one and never serve it (seen on nats-server 2.10), so where
 * nothing comes for a while, the stream's leader is asked for each message. FurrowError: unavailable
 * REPLAY_STALLED when it has none for us either; else what NATS threw.
 */
export async function* readMessages(
  nats: NatsConnection,
  first: number,
  last: number,
): AsyncGenerator<RawMessage> {
  let next = first;
  for await (const message of delivered(nats, first, last)) {
    next = message.sequence + 1;
    yield message;
  }
  if (next <= last) yield* askedFor(nats, next, last);
}

/** Ends early when nothing comes. */
async function* delivered(
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
  } finally {
    stall.end();
    await messages.close();
    await consumer.delete().catch(() => false);
  }
}

async function* askedFor(
  nats: NatsConnection,
  first: number,
  last: number,
): AsyncGenerator<RawMessage> {
  const manager = await nats.jetstreamManager({ checkAPI: false });
  for (let next = first; next <= last; next += ASKED_AT_ONCE) {
    const count = Math.min(ASKED_AT_ONCE, last - next + 1);
    const sequences = Array.from({ length: count }, (_, index) => next + index);
    const messages = await Promise.all(sequences.map((at) => readMessage(manager, at)));
    // One that is missing was purged meanwhile or is damaged: whoever reads sees the gap.
    yield* messages.filter((message) => message !== undefined);
    if (sequences.at(-1) === last && messages.at(-1) === undefined) throw stalled(last);
  }
}

function stalled(last: number): FurrowError {
  const text = `the journal's replay stopped before sequence ${last}: NATS does not deliver, try again`;
  return new FurrowError('unavailable', 'REPLAY_STALLED', text);
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
