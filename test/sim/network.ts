/**
 * What carries messages: lossy datagrams between machines, and over them NATS's request/reply and the
 * ordered streams of the control plane. Machines are named; a cut is directed, `from` to `to`.
 */
import type { Prng } from './prng.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';

/** Chances for each message; changed when the faults begin and end. */
export interface Weather {
  loss: number;
  duplication: number;
  /** Longest delay that a message can meet. */
  mostDelayMs: number;
}

export type RequestAnswer<T> =
  | { readonly state: 'answered'; readonly value: T }
  | { readonly state: 'no-responders' }
  | { readonly state: 'unknown' };

type Handler = (payload: unknown, reply: (value: unknown) => void) => void;

export interface Listener {
  readonly machine: string;
  readonly process: SimProcess;
  readonly handler: Handler;
  readonly survives?: boolean;
}

interface Subscription extends Listener {
  /** Subscribed anew by itself when nats-server was started again. */
  readonly survives: boolean;
}

export const NATS = 'nats';
const LEAST_DELAY_MS = 0.2;

export class Network {
  readonly weather: Weather = { loss: 0, duplication: 0, mostDelayMs: 2 };
  readonly counts = { sent: 0, lost: 0, duplicated: 0, cut: 0 };
  readonly #timeline: Timeline;
  readonly #prng: Prng;
  readonly #cuts = new Set<string>();
  readonly #subscriptions = new Map<string, Subscription[]>();
  /** The nats-server's process of the moment. */
  nats: SimProcess;

  constructor(timeline: Timeline, prng: Prng, nats: SimProcess) {
    this.#timeline = timeline;
    this.#prng = prng;
    this.nats = nats;
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  mendAll(): void {
    this.#cuts.clear();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Whether both directions are open, as a connection needs. */
  isOpen(a: string, b: string): boolean {
    return !this.isCut(a, b) && !this.isCut(b, a);
  }

  delayMs(): number {
    return this.#prng.longTailed(LEAST_DELAY_MS, this.weather.mostDelayMs);
  }

  /** How long a write takes on a disk that may take so long. */
  diskMs(mostMs: number): number {
    return mostMs === 0 ? 0 : this.#prng.longTailed(LEAST_DELAY_MS, mostMs);
  }

  /** One message; `deliver` is called never, once or twice. */
  send(from: string, to: string, target: SimProcess, what: string, deliver: () => void): void {
    this.counts.sent += 1;
    if (this.isCut(from, to)) {
      this.counts.cut += 1;
      return;
    }
    if (this.#prng.chance(this.weather.loss)) {
      this.counts.lost += 1;
      return;
    }
    target.after(this.delayMs(), what, deliver);
    if (this.#prng.chance(this.weather.duplication)) {
      this.counts.duplicated += 1;
      target.after(this.delayMs(), `${what} (again)`, deliver);
    }
  }

  /** Listens on a subject as long as the process lives and nats-server knows of it. */
  subscribe(
    subject: string,
    { machine, process, handler, survives = false }: Listener,
  ): () => void {
    const entry = { machine, process, handler, survives };
    this.#subscriptions.set(subject, [...(this.#subscriptions.get(subject) ?? []), entry]);
    const end = (): void => this.#keep(subject, (other) => other !== entry);
    process.atExit(end);
    return end;
  }

  #keep(subject: string, isKept: (entry: Subscription) => boolean): void {
    const left = (this.#subscriptions.get(subject) ?? []).filter(isKept);
    if (left.length === 0) this.#subscriptions.delete(subject);
    else this.#subscriptions.set(subject, left);
  }

  /** nats-server was started anew: nobody is connected. */
  forgetSubscriptions(): void {
    for (const subject of this.#subscriptions.keys()) {
      this.#keep(subject, ({ survives }) => survives);
    }
  }

  /** Said by nats-server to all who listen. */
  announce(subject: string, payload?: unknown): void {
    for (const { machine, process, handler } of this.#subscriptions.get(subject) ?? []) {
      this.send(NATS, machine, process, `hears ${subject}`, () => handler(payload, () => {}));
    }
  }

  /** NATS request/reply, as the client library does it. */
  request<T>(
    machine: string,
    process: SimProcess,
    subject: string,
    payload: unknown,
    timeoutMs: number,
    settle: (answer: RequestAnswer<T>) => void,
  ): void {
    let isOpen = true;
    const once = (answer: RequestAnswer<T>): void => {
      if (!isOpen) return;
      isOpen = false;
      cancel();
      settle(answer);
    };
    const cancel = process.clock.after(timeoutMs, () => once({ state: 'unknown' }));
    const answer = (what: string, value: RequestAnswer<T>): void =>
      this.send(NATS, machine, process, what, () => once(value));
    this.send(machine, NATS, this.nats, `request ${subject}`, () => {
      const targets = this.#subscriptions.get(subject) ?? [];
      if (targets.length === 0) {
        return answer(`no responders ${subject}`, { state: 'no-responders' });
      }
      // All who listen are asked; the first answer counts.
      for (const target of targets) {
        this.send(NATS, target.machine, target.process, `takes ${subject}`, () =>
          target.handler(payload, (value) => {
            this.send(target.machine, NATS, this.nats, `reply ${subject}`, () =>
              answer(`answer ${subject}`, { state: 'answered', value: value as T }),
            );
          }),
        );
      }
    });
  }

  /** A stream between two processes, in order on each side. */
  connect(a: Endpoint, b: Endpoint): SimStream {
    return new SimStream(this, this.#timeline, a, b);
  }
}

/** One end of a stream. */
export interface Endpoint {
  readonly machine: string;
  readonly process: SimProcess;
  readonly onMessage: (message: unknown) => void;
  /** The other end closed it, died, or was not to be reached for too long. */
  readonly onClosed: () => void;
}

/** Keepalive: a message that could not be delivered for so long breaks the stream. */
const KEEPALIVE_MS = 9_000;
const RETRANSMIT_MS = 200;

interface Parcel {
  readonly what: string;
  readonly sentMs: number;
  readonly notBeforeMs: number;
  readonly hand: (end: Endpoint) => void;
}

/** TCP as programs see it: in order, nothing lost until it breaks as a whole. */
export class SimStream {
  readonly #network: Network;
  readonly #timeline: Timeline;
  readonly #ends: readonly [Endpoint, Endpoint];
  /** What is on its way to each end. */
  readonly #underway: readonly [Parcel[], Parcel[]] = [[], []];
  readonly #closed: [boolean, boolean] = [false, false];

  constructor(network: Network, timeline: Timeline, a: Endpoint, b: Endpoint) {
    this.#network = network;
    this.#timeline = timeline;
    this.#ends = [a, b];
    a.process.atExit(() => this.close(0));
    b.process.atExit(() => this.close(1));
  }

  /** From end 0 or 1 to the other. */
  send(from: 0 | 1, message: unknown): void {
    if (this.#closed[from]) return;
    this.#push(from, 'stream', (end) => end.onMessage(message));
  }

  /** Closes it on this side at once; the other side hears of it. */
  close(from: 0 | 1): void {
    if (this.#closed[from]) return;
    this.#closed[from] = true;
    this.#push(from, 'stream closed', (end) => {
      this.#closed[other(from)] = true;
      end.onClosed();
    });
  }

  #push(from: 0 | 1, what: string, hand: (end: Endpoint) => void): void {
    const sentMs = this.#timeline.nowMs;
    const queue = this.#underway[other(from)];
    queue.push({ what, sentMs, notBeforeMs: sentMs + this.#network.delayMs(), hand });
    if (queue.length === 1) this.#pump(from);
  }

  #pump(from: 0 | 1, leastWaitMs = 0): void {
    const to = other(from);
    const queue = this.#underway[to];
    const head = queue[0];
    if (head === undefined) return;
    const waitMs = Math.max(leastWaitMs, head.notBeforeMs - this.#timeline.nowMs);
    this.#ends[to].process.after(waitMs, head.what, () => {
      if (this.#closed[to]) return;
      if (this.#network.isCut(this.#ends[from].machine, this.#ends[to].machine)) {
        if (this.#timeline.nowMs - head.sentMs > KEEPALIVE_MS) this.#break();
        else this.#pump(from, RETRANSMIT_MS);
        return;
      }
      queue.shift();
      this.#pump(from);
      head.hand(this.#ends[to]);
    });
  }

  #break(): void {
    for (const side of [0, 1] as const) {
      if (this.#closed[side]) continue;
      this.#closed[side] = true;
      const { process, onClosed } = this.#ends[side];
      process.after(0, 'stream broken', onClosed);
    }
  }
}

function other(side: 0 | 1): 0 | 1 {
  return side === 0 ? 1 : 0;
}
