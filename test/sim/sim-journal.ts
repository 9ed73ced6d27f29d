/**
 * A coordinator's way to the journal: the real journal writer over a network that loses, delays and
 * doubles, so that an append may be stored without its answer, or later than its time-out.
 */
import { EMPTY_TAIL, follow, type Tail } from '../../coordinator/journal/chain.ts';
import {
  decodeCommit,
  MAX_COMMIT_BYTES,
  measureFact,
} from '../../coordinator/journal/commit-codec.ts';
import type { ReplaySummary } from '../../coordinator/journal/jetstream-journal.ts';
import type { StreamBounds } from '../../coordinator/journal/journal-stream.ts';
import {
  JournalWriter,
  type CommitStream,
  type Election,
  type RawMessage,
} from '../../coordinator/journal/journal-writer.ts';
import type { Fact } from '../../coordinator/domain/facts.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../../coordinator/ports.ts';
import type { Logger } from '../../kit/log.ts';
import { JOURNAL_SUBJECT } from '../../proto/subjects.ts';
import { ask, demand, type NatsClient } from './nats-client.ts';
import type { Prng } from './prng.ts';

export const FARM_ID = 'simulated-farm';

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

  /** Everything that is stored in the moment of the question. */
  async replay(
    onCommit: (commit: CommitRecord) => void,
    from: Tail = EMPTY_TAIL,
  ): Promise<ReplaySummary> {
    this.#writer.startFrom(from);
    const { store } = this.#options;
    const what = 'journal replay';
    const serve = (): RawMessage[] => store.from(from.sequence + 1);
    const messages = await demand(this.#options, { what, serve });
    for (const message of messages) onCommit(this.accept(message));
    const { sequence, farmId, epoch } = this.tail;
    return { commits: messages.length, sequence, farmId, epoch };
  }

  accept({ bytes, sequence }: RawMessage): CommitRecord {
    const commit = decodeCommit(bytes, sequence);
    this.#writer.startFrom(follow(this.tail, commit));
    return commit;
  }

  messageBehindTail(): Promise<RawMessage | undefined> {
    const next = this.tail.sequence + 1;
    const { store } = this.#options;
    return demand(this.#options, { what: 'journal next', serve: () => store.at(next) });
  }

  bounds(): Promise<StreamBounds> {
    const { store } = this.#options;
    const serve = (): StreamBounds => ({ first: store.firstSequence, last: store.lastSequence });
    return demand(this.#options, { what: 'journal bounds', serve });
  }

  confirmedEnd(): Promise<number> {
    const { store } = this.#options;
    const serve = (): number => store.lastSequence;
    return demand(this.#options, { what: 'journal barrier', serve, writes: true });
  }

  async firstSequence(): Promise<number> {
    return (await this.bounds()).first;
  }

  purgeUpTo(sequence: number): Promise<void> {
    const { store } = this.#options;
    const serve = (): void => store.purgeThrough(sequence);
    return demand(this.#options, { what: 'journal purge', serve, writes: true });
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
  const { store, network } = client;
  return {
    publish: async (bytes, expectedLastSequence) => {
      const answer = await ask(client, {
        what: 'journal append',
        serve: () => store.append(bytes, expectedLastSequence),
        writes: true,
        arrived: () => network.announce(JOURNAL_SUBJECT),
      });
      return answer === undefined
        ? { state: 'unknown', message: 'no answer in time' }
        : answer.value;
    },
    readTail: () => demand(client, { what: 'journal tail', serve: () => store.tail() }),
    // Its one server answers with what it has.
    confirm: () => demand(client, { what: 'journal confirm', serve: () => undefined }),
  };
}
