/**
 * Messages that are sent in the same turn of the event loop leave in one write: each write wakes the
 * server, which costs more than the messages.
 */
import type { Msg, NatsConnection } from 'nats';
import { RequestInbox, type RequestOptions } from './request-inbox.ts';

const waiting = new WeakMap<NatsConnection, (() => void)[]>();
const inboxes = new WeakMap<NatsConnection, RequestInbox>();

/** Calls `send`, which publishes on the connection, at the end of this turn of the event loop. */
function sendTogether(nats: NatsConnection, send: () => void): void {
  const sends = waiting.get(nats);
  if (sends !== undefined) {
    sends.push(send);
    return;
  }
  const first = [send];
  waiting.set(nats, first);
  setImmediate(() => {
    waiting.delete(nats);
    for (const each of first) each();
  });
}

/** An answer that leaves so; none when the connection is closed by then. */
export function respondTogether(nats: NatsConnection, message: Msg, bytes: Uint8Array): void {
  sendTogether(nats, () => {
    if (!nats.isClosed()) message.respond(bytes);
  });
}

/** A request that leaves so. Rejects with NatsError: NoResponders, Timeout, ConnectionClosed, ConnectionDraining, MaxPayloadExceeded. */
export function requestTogether(
  nats: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  options: RequestOptions,
): Promise<Msg> {
  return new Promise((resolve, reject) => {
    sendTogether(nats, () => {
      try {
        inboxOf(nats).request(subject, bytes, options, resolve, reject);
      } catch (error) {
        // A connection that is closed, or about to be, throws at once.
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

function inboxOf(nats: NatsConnection): RequestInbox {
  let inbox = inboxes.get(nats);
  if (inbox === undefined) {
    inbox = new RequestInbox(nats);
    inboxes.set(nats, inbox);
  }
  return inbox;
}
