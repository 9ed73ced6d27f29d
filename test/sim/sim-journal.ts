/**
 * A leader's way to the journal and the snapshots: the real journal writer over a network that loses,
 * delays and doubles, so that an append may be stored without its answer, or later than its time-out.
 */
import { EMPTY_TAIL, follow, type Tail } from '../../coordinator/journal/chain.ts';
import {
  decodeCommit,
  hashOf,
  MAX_COMMIT_BYTES,
  measureFact,
} from '../../coordinator/journal/commit-codec.ts';
import type { ReplaySummary } from '../../coordinator/journal/jetstream-journal.ts';
import {
  JournalWriter,
  type CommitStream,
  type Election,
} from '../../coordinator/journal/journal-writer.ts';
import type { StoredSnapshot } from '../../coordinator/journal/snapshot-store.ts';
import type { Fact } from '../../coordinator/domain/facts.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../../coordinator/ports.ts';
import type { Logger } from '../../kit/log.ts';
import type { JournalStore } from './journal-store.ts';
import { NATS, type Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimProcess } from './sim-process.ts';

export const FARM_ID = 'simulated-farm';
const TIMEOUT_MS = 2_000;
const CHUNK_BYTES = 16 * 1024;

/** A process that talks to nats-server. */
export interface NatsClient {
  readonly store: JournalStore;
  readonly network: Network;
  readonly machine: string;
  readonly process: SimProcess;
}

export interface SimJournalOptions extends NatsClient {
  readonly prng: Prng;
  readonly log: Logger;
}

export class SimJournal implements Journal {
  readonly maxCommitBytes = MAX_COMMIT_BYTES;
  readonly #options: SimJournalOptions;
  readonly #writer: JournalWriter;
  #isOwing = false;
  /** How many facts came by to be measured: tells whether anything was decided since. */
  measured = 0;

  constructor(options: SimJournalOptions) {
    this.#options = options;
    const { prng, log, process } = options;
    this.#writer = new JournalWriter({
      stream: commitStream(options),
      clock: process.clock,
      log,
      random: () => prng.next(),
      writerId: Buffer.from(prng.hex(32), 'hex'),
    });
    process.atExit(() => this.#writer.close());
  }

  get tail(): Tail {
    return this.#writer.tail;
  }

  /** True while facts that were decided are not known to be stored. */
  get isOwing(): boolean {
    return this.#isOwing;
  }

  measure(fact: Fact): number {
    this.measured += 1;
    return measureFact(fact);
  }

  /** Everything that is stored now. The reading itself meets no faults: a start that fails starts again. */
  replay(
    onCommit: (commit: CommitRecord) => void,
    from: Tail = EMPTY_TAIL,
  ): Promise<ReplaySummary> {
    let tail = from;
    const messages = this.#options.store.from(from.sequence + 1);
    for (const { bytes, sequence } of messages) {
      const commit = decodeCommit(bytes, sequence);
      tail = follow(tail, commit);
      onCommit(commit);
    }
    this.#writer.startFrom(tail);
    const { sequence, farmId, epoch } = tail;
    return Promise.resolve({ commits: messages.length, sequence, farmId, epoch });
  }

  firstSequence(): Promise<number> {
    return Promise.resolve(this.#options.store.firstSequence);
  }

  async purgeUpTo(sequence: number): Promise<void> {
    const { store } = this.#options;
    await answered(ask(this.#options, 'purge', () => store.purgeThrough(sequence)));
  }

  startEpoch(): Promise<Election> {
    return this.#writer.startEpoch(this.tail.epoch + 1, () => FARM_ID);
  }

  async append(facts: readonly Fact[], epoch: number, atMs: number): Promise<AppendOutcome> {
    if (epoch !== this.tail.epoch) throw new Error('only the leader appends');
    this.#isOwing = true;
    const outcome = await this.#writer.append(facts, atMs);
    // One that is refused is offered again: its facts are still decided and not stored.
    this.#isOwing = outcome.state === 'refused';
    return outcome;
  }
}

/** The stream as the client library shows it. */
function commitStream(client: NatsClient): CommitStream {
  const { store } = client;
  return {
    publish: async (bytes, expectedLastSequence) => {
      const answer = await ask(client, 'append', () => store.append(bytes, expectedLastSequence));
      return answer === undefined
        ? { state: 'unknown', message: 'no answer in time' }
        : answer.value;
    },
    readTail: () => answered(ask(client, 'tail', () => store.tail())),
  };
}

/** The snapshots' stream. A start reads it without faults; what is written there meets them. */
export class SimSnapshotStore {
  readonly #client: NatsClient;

  constructor(client: NatsClient) {
    this.#client = client;
  }

  async save(sequence: number, bytes: Uint8Array): Promise<StoredSnapshot> {
    const { snapshots } = this.#client.store;
    await this.#change(() => void snapshots.set(sequence, []));
    for (let from = 0; from < bytes.byteLength; from += CHUNK_BYTES) {
      const chunk = Buffer.from(bytes.subarray(from, from + CHUNK_BYTES));
      await this.#change(() => snapshots.get(sequence)?.push(chunk));
    }
    return { sequence, hash: hashOf(bytes), sizeBytes: bytes.byteLength };
  }

  load(sequence: number): Promise<{ readonly bytes: Uint8Array; readonly hash: string }> {
    const bytes = Buffer.concat(this.#client.store.snapshots.get(sequence) ?? []);
    return Promise.resolve({ bytes, hash: hashOf(bytes) });
  }

  sequences(): Promise<number[]> {
    return Promise.resolve([...this.#client.store.snapshots.keys()].toSorted((a, b) => b - a));
  }

  async dropBelow(sequence: number): Promise<void> {
    for (const stored of await this.sequences()) {
      if (stored < sequence) await this.#change(() => this.#client.store.snapshots.delete(stored));
    }
  }

  /** Done once or, when it rejects, perhaps: a client's connection does not double what it carries. */
  #change(serve: () => void): Promise<void> {
    let isDone = false;
    const once = (): void => {
      if (!isDone) serve();
      isDone = true;
    };
    return answered(ask(this.#client, 'snapshot', once));
  }
}

/** Asks nats-server, which writes before it answers. Undefined when no answer came in time. */
function ask<T>(
  { network, machine, process, store }: NatsClient,
  what: string,
  serve: () => T,
): Promise<{ readonly value: T } | undefined> {
  return new Promise((resolve) => {
    const cancel = process.clock.after(TIMEOUT_MS, () => resolve(undefined));
    const { nats } = network;
    network.send(machine, NATS, nats, `journal ${what}`, () => {
      nats.after(network.diskMs(store.mostDiskMs), `journal ${what} on disk`, () => {
        const value = serve();
        network.send(NATS, machine, process, `journal ${what} answered`, () => {
          cancel();
          resolve({ value });
        });
      });
    });
  });
}

async function answered<T>(asked: Promise<{ readonly value: T } | undefined>): Promise<T> {
  const answer = await asked;
  if (answer === undefined) throw new Error('nats-server did not answer in time');
  return answer.value;
}
