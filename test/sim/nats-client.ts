/** A process that talks to nats-server: questions with time-outs, over a network that loses and doubles. */
import type { JournalStore } from './journal-store.ts';
import { NATS, type Network } from './network.ts';
import type { SimProcess } from './sim-process.ts';

export interface NatsClient {
  readonly store: JournalStore;
  readonly network: Network;
  readonly machine: string;
  readonly process: SimProcess;
}

/** What nats-server does for a question. */
export interface Request<T> {
  readonly what: string;
  readonly serve: () => T;
  /** It writes before it answers. */
  readonly writes?: boolean;
  /** Called when the question has arrived, before anything is written. */
  readonly arrived?: () => void;
}

const TIMEOUT_MS = 2_000;

/** Undefined when no answer came in time. */
export function ask<T>(
  { network, machine, process, store }: NatsClient,
  { what, serve, writes = false, arrived = () => {} }: Request<T>,
): Promise<{ readonly value: T } | undefined> {
  return new Promise((resolve) => {
    const cancel = process.clock.after(TIMEOUT_MS, () => resolve(undefined));
    const { nats } = network;
    const answer = (): void => {
      const value = serve();
      network.send(NATS, machine, process, `${what} answered`, () => {
        cancel();
        resolve({ value });
      });
    };
    network.send(machine, NATS, nats, what, () => {
      arrived();
      const diskMs = writes ? network.diskMs(store.mostDiskMs) : 0;
      if (diskMs === 0) answer();
      else nats.after(diskMs, `${what} on disk`, answer);
    });
  });
}

/** Rejects with `Unanswered` when no answer came in time. */
export async function demand<T>(client: NatsClient, request: Request<T>): Promise<T> {
  const answer = await ask(client, request);
  if (answer === undefined) throw new Unanswered(`no answer from nats-server: ${request.what}`);
  return answer.value;
}

/** Done once or, when it rejects, perhaps: a client's connection does not double what it carries. */
export function change(client: NatsClient, what: string, serve: () => void): Promise<void> {
  let isDone = false;
  const once = (): void => {
    if (!isDone) serve();
    isDone = true;
  };
  return demand(client, { what, serve: once, writes: true });
}

/** As what the client library throws; whoever does not expect it ends, and is started again. */
export class Unanswered extends Error {}
