/**
 * Where the answers to a connection's requests arrive. NATS's own client makes an error with its stack
 * trace for each request, answered or not, which costs more than all else about it.
 */
import {
  createInbox,
  ErrorCode,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
} from 'nats';

import { inboxPrefixOf } from './nats-connection.ts';

export interface RequestOptions {
  /** Milliseconds. */
  readonly timeout: number;
  readonly headers?: MsgHdrs;
}

interface Request {
  readonly resolve: (answer: Msg) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

const NO_RESPONDERS = 503;

export class RequestInbox {
  readonly #nats: NatsConnection;
  readonly #prefix: string;
  readonly #open = new Map<string, Request>();
  #asked = 0;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
    this.#prefix = `${createInbox(inboxPrefixOf(nats))}.`;
    nats.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => this.#take(error, message),
    });
    void nats
      .closed()
      .then(() => this.#failAll(NatsError.errorForCode(ErrorCode.ConnectionClosed)));
  }

  /** Throws NatsError, or rejects with it when there is no answer: NoResponders, Timeout, ConnectionClosed. */
  request(
    subject: string,
    bytes: Uint8Array,
    { timeout, headers }: RequestOptions,
    resolve: (answer: Msg) => void,
    reject: (error: unknown) => void,
  ): void {
    const reply = this.#prefix + String((this.#asked += 1));
    this.#nats.publish(subject, bytes, headers === undefined ? { reply } : { reply, headers });
    const expire = (): void => this.#fail(reply, NatsError.errorForCode(ErrorCode.Timeout));
    this.#open.set(reply, { resolve, reject, timer: setTimeout(expire, timeout) });
  }

  /** One that comes after its time is nobody's. */
  #take(error: Error | null, message: Msg): void {
    if (error !== null) return this.#failAll(error);
    if (message.headers?.code === NO_RESPONDERS && message.data.length === 0) {
      return this.#fail(message.subject, NatsError.errorForCode(ErrorCode.NoResponders));
    }
    this.#settle(message.subject)?.resolve(message);
  }

  #fail(reply: string, error: Error): void {
    this.#settle(reply)?.reject(error);
  }

  #failAll(error: Error): void {
    for (const reply of this.#open.keys()) this.#fail(reply, error);
  }

  #settle(reply: string): Request | undefined {
    const request = this.#open.get(reply);
    if (request === undefined) return undefined;
    this.#open.delete(reply);
    clearTimeout(request.timer);
    return request;
  }
}
