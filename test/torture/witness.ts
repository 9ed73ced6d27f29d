/**
 * Follows the journal's stream past all fronts and keeps every message, so that what is later cut from
 * it is known all the same. Reads raw messages and decodes them by the generated types alone.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, NatsError, type JetStreamManager, type NatsConnection } from 'nats';
import { Commit } from '../../proto/gen/furrow/journal/v1/journal.ts';
import type { JournalMessage } from './evidence.ts';

const STREAM = 'FURROW_JOURNAL';
const IDLE_MS = 100;
const AWAY_MS = 300;
const AT_ONCE = 16;
const REQUEST_TIMEOUT_MS = 1_000;
const NO_MESSAGE = 404;

export class Witness {
  readonly messages: JournalMessage[] = [];
  readonly faults: string[] = [];
  readonly #servers: readonly string[];
  readonly #token: string;
  readonly #following: Promise<void>;
  /** By server: when one sleeps, another is asked, before the journal is cut. */
  readonly #connections = new Map<string, NatsConnection>();
  #asked = 0;
  #isOver = false;

  constructor(servers: readonly string[], token: string) {
    this.#servers = servers;
    this.#token = token;
    this.#following = this.#follow();
  }

  /**
   * When all is over: reads to the end, then reads all that the stream still has once more, and
   * compares.
   */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#following;
    await this.#readAgain();
    await Promise.all([...this.#connections.values()].map((nats) => nats.close()));
  }

  async #follow(): Promise<void> {
    for (;;) {
      const isLastRound = this.#isOver;
      const found = await this.#readOn().catch(() => {
        this.#asked += 1;
        return undefined;
      });
      if (found === 0 && isLastRound) return;
      if (found === undefined) await sleep(AWAY_MS);
      else if (found === 0) await sleep(IDLE_MS);
    }
  }

  /** Answers how many messages came. Throws while NATS is away. */
  async #readOn(): Promise<number> {
    const manager = await this.#manager();
    const first = this.messages.length + 1;
    const wanted = Array.from({ length: AT_ONCE }, (_, index) => first + index);
    const seen = await Promise.all(wanted.map((sequence) => read(manager, sequence)));
    const gap = seen.indexOf(undefined);
    const whole = seen.slice(0, gap < 0 ? seen.length : gap);
    for (const [index, bytes] of whole.entries()) {
      if (bytes === undefined) continue;
      const hash = createHash('sha256').update(bytes).digest('hex');
      this.messages.push({ sequence: first + index, hash, commit: Commit.decode(bytes) });
    }
    if (whole.length === 0) await this.#checkGap(manager, first);
    return whole.length;
  }

  async #checkGap(manager: JetStreamManager, next: number): Promise<void> {
    const { state } = await manager.streams.info(STREAM);
    if (state.messages === 0 || state.first_seq <= next) return;
    this.faults.push(`the journal was cut up to ${state.first_seq} before ${next} was read`);
    throw new Error('gap');
  }

  async #readAgain(): Promise<void> {
    const manager = await this.#manager();
    const { state } = await manager.streams.info(STREAM);
    for (let sequence = state.first_seq; sequence <= state.last_seq; sequence += 1) {
      const bytes = await read(manager, sequence);
      const hash = bytes === undefined ? '' : createHash('sha256').update(bytes).digest('hex');
      const before = this.messages[sequence - 1];
      if (before?.hash === hash) continue;
      this.faults.push(
        `message ${sequence} of the journal is not the one that was read there before`,
      );
      return;
    }
  }

  async #manager(): Promise<JetStreamManager> {
    const server = this.#servers[this.#asked % this.#servers.length] ?? '';
    const known = this.#connections.get(server);
    const nats = known ?? (await this.#connect(server));
    this.#connections.set(server, nats);
    return nats.jetstreamManager({ timeout: REQUEST_TIMEOUT_MS, checkAPI: false });
  }

  #connect(server: string): Promise<NatsConnection> {
    return connect({
      servers: [server],
      ignoreClusterUpdates: true,
      token: this.#token,
      name: 'torture witness',
      timeout: REQUEST_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: AWAY_MS,
      pingInterval: 2_000,
    });
  }
}

/** Undefined when there is no such message. */
async function read(manager: JetStreamManager, sequence: number): Promise<Uint8Array | undefined> {
  try {
    const message = await manager.streams.getMessage(STREAM, { seq: sequence });
    return message.data;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.code === NO_MESSAGE) return undefined;
    throw error;
  }
}
