/**
 * What nats-server keeps for a simulated year, and the coordinator's way to it: the real journal writer over
 * a store in memory that answers at once, but for the minutes in which nats-server is away.
 */
import type { ArchiveStore } from '../../../coordinator/ports.ts';
import type { StoredPart } from '../../../coordinator/domain/archive.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import { EMPTY_TAIL, follow, type Tail } from '../../../coordinator/journal/chain.ts';
import {
  decodeCommit,
  hashOf,
  MAX_COMMIT_BYTES,
  measureFact,
} from '../../../coordinator/journal/commit-codec.ts';
import type { ReplaySummary } from '../../../coordinator/journal/jetstream-journal.ts';
import {
  type Election,
  JournalWriter,
  type PublishAnswer,
  type RawMessage,
} from '../../../coordinator/journal/journal-writer.ts';
import type { StoredSnapshot } from '../../../coordinator/journal/snapshot-store.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../../../coordinator/ports.ts';
import type { Clock } from '../../../kit/clock.ts';
import type { Logger } from '../../../kit/log.ts';
import type { Prng } from '../prng.ts';

const FARM_ID = 'simulated-year';
/** As the client library waits for an answer. */
const TIMEOUT_MS = 5_000;

/** The disk of nats-server. */
export class YearStore {
  readonly snapshots = new Map<number, Uint8Array>();
  isUp = true;
  messages: Uint8Array[] = [];
  firstSequence = 1;

  get lastSequence(): number {
    return this.firstSequence + this.messages.length - 1;
  }

  append(bytes: Uint8Array, expectedLast: number): PublishAnswer {
    const sequence = this.lastSequence;
    if (expectedLast !== sequence) {
      return { state: 'not-stored', message: `wrong last sequence: ${sequence}` };
    }
    this.messages.push(bytes);
    return { state: 'stored', sequence: sequence + 1 };
  }

  tail(): RawMessage | undefined {
    const bytes = this.messages.at(-1);
    return bytes && { sequence: this.lastSequence, bytes };
  }

  purgeUpTo(sequence: number): void {
    const gone = Math.max(0, sequence - this.firstSequence + 1);
    this.messages = this.messages.slice(gone);
    this.firstSequence += gone;
  }
}

interface YearJournalOptions {
  readonly store: YearStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly prng: Prng;
  /** Called in the moment in which facts are on disk, whoever hears of it. */
  readonly stored: (facts: readonly Fact[]) => void;
}

export class YearJournal implements Journal {
  readonly maxCommitBytes = MAX_COMMIT_BYTES;
  readonly #options: YearJournalOptions;
  readonly #writer: JournalWriter;
  #underway: readonly Fact[] = [];
  /** True while facts that were decided are not known to be stored. */
  isOwing = false;

  constructor(options: YearJournalOptions) {
    this.#options = options;
    const { prng, clock, log } = options;
    this.#writer = new JournalWriter({
      stream: {
        publish: (bytes, expectedLast) => this.#publish(bytes, expectedLast),
        readTail: () => this.#served((store) => store.tail()),
        confirm: () => this.#served(() => undefined),
      },
      clock,
      log,
      random: () => prng.next(),
      writerId: Buffer.from(prng.hex(32), 'hex'),
    });
  }

  get tail(): Tail {
    return this.#writer.tail;
  }

  measure(fact: Fact): number {
    return measureFact(fact);
  }

  async append(facts: readonly Fact[], _epoch: number, atMs: number): Promise<AppendOutcome> {
    this.isOwing = true;
    this.#underway = facts;
    const outcome = await this.#writer.append(facts, atMs);
    this.isOwing = false;
    return outcome;
  }

  startEpoch(): Promise<Election> {
    return this.#writer.startEpoch(this.tail.epoch + 1, () => FARM_ID);
  }

  replay(
    onCommit: (commit: CommitRecord) => void,
    from: Tail = EMPTY_TAIL,
  ): Promise<ReplaySummary> {
    this.#writer.startFrom(from);
    const { messages, firstSequence } = this.#options.store;
    let commits = 0;
    for (let at = from.sequence + 1 - firstSequence; at < messages.length; at += 1) {
      const commit = decodeCommit(messages[at]!, firstSequence + at);
      this.#writer.startFrom(follow(this.tail, commit));
      onCommit(commit);
      commits += 1;
    }
    const { sequence, farmId, epoch } = this.tail;
    return Promise.resolve({ commits, sequence, farmId, epoch });
  }

  firstSequence(): Promise<number> {
    return Promise.resolve(this.#options.store.firstSequence);
  }

  purgeUpTo(sequence: number): Promise<void> {
    return this.#served((store) => store.purgeUpTo(sequence));
  }

  close(): void {
    this.#writer.close();
  }

  async #publish(bytes: Uint8Array, expectedLast: number): Promise<PublishAnswer> {
    const { store, prng } = this.#options;
    if (store.isUp) return this.#store(bytes, expectedLast);
    // What it wrote last before it went away is answered by nobody.
    if (prng.chance(0.2)) this.#store(bytes, expectedLast);
    await this.#timeOut();
    return { state: 'unknown', message: 'no answer in time' };
  }

  #store(bytes: Uint8Array, expectedLast: number): PublishAnswer {
    const answer = this.#options.store.append(bytes, expectedLast);
    if (answer.state === 'stored') this.#options.stored(this.#underway);
    return answer;
  }

  async #served<T>(serve: (store: YearStore) => T): Promise<T> {
    const { store } = this.#options;
    if (store.isUp) return serve(store);
    await this.#timeOut();
    throw new Error('nats-server is away');
  }

  #timeOut(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(TIMEOUT_MS, resolve));
  }
}

/** Snapshots on that disk. */
export class YearSnapshots {
  readonly #snapshots: Map<number, Uint8Array>;

  constructor({ snapshots }: YearStore) {
    this.#snapshots = snapshots;
  }

  save(sequence: number, bytes: Uint8Array): Promise<StoredSnapshot> {
    this.#snapshots.set(sequence, bytes);
    return Promise.resolve({ sequence, hash: hashOf(bytes), sizeBytes: bytes.byteLength });
  }

  load(sequence: number): Promise<{ readonly bytes: Uint8Array; readonly hash: string }> {
    const bytes = this.#snapshots.get(sequence) ?? new Uint8Array();
    return Promise.resolve({ bytes, hash: hashOf(bytes) });
  }

  sequences(): Promise<number[]> {
    return Promise.resolve([...this.#snapshots.keys()].toSorted((a, b) => b - a));
  }

  dropBelow(sequence: number): Promise<void> {
    for (const stored of this.#snapshots.keys()) {
      if (stored < sequence) this.#snapshots.delete(stored);
    }
    return Promise.resolve();
  }
}

/** The archive: nobody reads it in a simulated year, so only its names are kept. */
export class YearArchive implements Pick<ArchiveStore, 'save' | 'drop' | 'segments'> {
  readonly #names = new Set<string>();

  save(segment: string, _part: string, bytes: Uint8Array): Promise<StoredPart> {
    this.#names.add(segment);
    return Promise.resolve({ hash: hashOf(bytes), sizeBytes: bytes.byteLength });
  }

  drop(segment: string): Promise<void> {
    this.#names.delete(segment);
    return Promise.resolve();
  }

  segments(): Promise<string[]> {
    return Promise.resolve([...this.#names]);
  }
}
