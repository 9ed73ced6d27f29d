/**
 * The journal on JetStream: opened, replayed, then led. How an append is settled is decided by the
 * journal writer; here is what only a real store has: a stream to make ready, a file that knows it.
 */
import assert from 'node:assert';
import { randomBytes, randomUUID } from 'node:crypto';
import type { JetStreamManager, NatsConnection } from 'nats';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Fact } from '../domain/facts.ts';
import { emptyFarm } from '../domain/farm.ts';
import type { Sighting } from '../domain/lineage.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../ports.ts';
import { EMPTY_TAIL, follow, type Tail } from './chain.ts';
import { damaged, decodeCommit, hashOf, MAX_COMMIT_BYTES, measureFact } from './commit-codec.ts';
import {
  boundsOf,
  confirmedLastSequence,
  ensureJournalStream,
  hasJournalStream,
  lastSequenceOf,
  publishCommit,
  purgeThrough,
  readMessage,
  readTail,
  type JournalStreamOptions,
  type StreamBounds,
} from './journal-stream.ts';
import {
  JournalWriter,
  type CommitStream,
  type Election,
  type RawMessage,
} from './journal-writer.ts';
import {
  compareKnown,
  type Comparison,
  type FarmLineage,
  KnownTailFile,
  readKnownTail,
  type KnownTail,
} from './known-tail.ts';
import { natsTrouble } from './nats-trouble.ts';
import { readMessages } from './read-messages.ts';

export interface JournalOptions {
  readonly nats: NatsConnection;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stream: JournalStreamOptions;
  /** coordinator/identity.json: what this coordinator has seen of the journal. */
  readonly identityPath: string;
  /** Goes on with a store that lacks what this coordinator has seen. */
  readonly acceptRestoredStore: boolean;
}

export interface ReplaySummary {
  readonly commits: number;
  readonly sequence: number;
  /** Undefined while the farm has no commit yet. */
  readonly farmId: string | undefined;
  readonly epoch: number;
}

const PUBLISH_TIMEOUT_MS = 2_000;

/**
 * Makes the stream ready. FurrowError: data-loss STORE_RESTORED; failed-precondition
 * JOURNAL_STREAM_UNFIT, NATS_REFUSES; unavailable JOURNAL_UNREACHABLE when JetStream does not answer.
 */
export async function openJournal(options: JournalOptions): Promise<JetStreamJournal> {
  const known = await readKnownTail(options.identityPath, options.log);
  const manager = await options.nats.jetstreamManager({
    checkAPI: false,
    timeout: PUBLISH_TIMEOUT_MS,
  });
  try {
    if (known !== undefined && !options.acceptRestoredStore && !(await hasJournalStream(manager))) {
      const atHand = { farm: emptyFarm(), lastSequence: 0, hashThere: undefined };
      const compared = compareKnown(known, atHand);
      if (compared.place === 'absent') throw compared.error;
    }
    await ensureJournalStream(manager, options.stream);
  } catch (error) {
    throw natsTrouble(error);
  }
  return new JetStreamJournal(options, manager, known);
}

export class JetStreamJournal implements Journal {
  readonly maxCommitBytes = MAX_COMMIT_BYTES;
  readonly writerId: Uint8Array = randomBytes(16);
  readonly #nats: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #log: Logger;
  readonly #known: KnownTail | undefined;
  readonly #acceptRestoredStore: boolean;
  /** Of the commit at the known sequence, if it is still kept. */
  #hashAtKnown: string | undefined;
  /**
   * What was seen before must not be overwritten until it is certain that it is in this journal:
   * `unsure`, until `vouch` has compared; `accepted`, until a reign has begun that gives it up.
   */
  #trust: 'unsure' | 'vouched' | 'accepted' = 'unsure';
  readonly #knownTailFile: KnownTailFile;
  readonly #writer: JournalWriter;
  #state: 'new' | 'replayed' | 'leading' | 'superseded' = 'new';

  constructor(options: JournalOptions, manager: JetStreamManager, known: KnownTail | undefined) {
    this.#nats = options.nats;
    this.#manager = manager;
    this.#known = known;
    this.#acceptRestoredStore = options.acceptRestoredStore;
    const { clock, log } = options;
    this.#log = log;
    this.#knownTailFile = new KnownTailFile(options.identityPath, clock, log);
    const stream: CommitStream = {
      publish: (bytes, expectedLastSequence) =>
        publishCommit(options.nats, bytes, expectedLastSequence, PUBLISH_TIMEOUT_MS),
      readTail: () => readTail(manager),
      confirm: async () => void (await confirmedLastSequence(manager)),
    };
    const { writerId } = this;
    this.#writer = new JournalWriter({ stream, clock, log, random: Math.random, writerId });
  }

  /** What the journal ends with, as far as this process knows. */
  get tail(): Tail {
    return this.#writer.tail;
  }

  measure(fact: Fact): number {
    return measureFact(fact);
  }

  /**
   * Hands over every commit behind `from` (a snapshot's end, or the beginning), checked. Before
   * `startEpoch`; again from another place when a snapshot turned out to be damaged. FurrowError:
   * data-loss JOURNAL_DAMAGED; failed-precondition JOURNAL_TOO_NEW; unavailable REPLAY_STALLED.
   */
  async replay(
    onCommit: (commit: CommitRecord) => void,
    from: Tail = EMPTY_TAIL,
  ): Promise<ReplaySummary> {
    assert(this.#state === 'new' || this.#state === 'replayed', 'replay comes before leading');
    this.#writer.startFrom(from);
    const lastSequence = await lastSequenceOf(this.#manager);
    if (this.#trust === 'unsure') await this.#lookAtKnown(from);
    await this.#checkLastIsReadable(lastSequence);
    let commits = 0;
    for await (const message of readMessages(this.#nats, from.sequence + 1, lastSequence)) {
      onCommit(this.accept(message));
      commits += 1;
    }
    this.#state = 'replayed';
    const { sequence, farmId, epoch } = this.tail;
    return { commits, sequence, farmId, epoch };
  }

  /**
   * Takes the message right behind the tail, checked, as the new tail; for one that does not lead.
   * FurrowError: as `replay`.
   */
  accept(message: RawMessage): CommitRecord {
    assert(this.#state === 'new' || this.#state === 'replayed', 'a leader reads no commits');
    const commit = decodeCommit(message.bytes, message.sequence);
    if (commit.sequence === this.#known?.sequence) this.#hashAtKnown = commit.hash;
    this.#writer.startFrom(follow(this.tail, commit));
    if (this.#trust === 'vouched') this.#knownTailFile.note(this.tail);
    return commit;
  }

  /**
   * The farm is loaded: what this coordinator has seen before must be in its lineage. Once, before
   * following or leading. FurrowError: data-loss STORE_RESTORED; unavailable JOURNAL_UNREACHABLE.
   */
  async vouch(farm: FarmLineage): Promise<void> {
    assert(this.#state === 'replayed' && this.#trust === 'unsure', 'a replay comes first, once');
    const compared = await this.#compareWithKnown(farm);
    if (compared.place !== 'absent') {
      this.#trust = 'vouched';
      this.#knownTailFile.note(this.tail);
      return;
    }
    if (!this.#acceptRestoredStore) throw compared.error;
    const reason = compared.error.message;
    this.#log.warn({ reason }, 'accepting a store that lacks what was seen of it');
    this.#trust = 'accepted';
  }

  /**
   * Somebody has seen a commit that this journal lacks: written down, so that the next start finds that
   * too. Answers what to say of it.
   */
  async miss(farm: FarmLineage, seen: Sighting, seenBy: string): Promise<FurrowError> {
    const known: KnownTail = { farmId: farm.farmId, ...seen, seenBy };
    const { sequence: lastSequence } = this.tail;
    const compared = compareKnown(known, { farm, lastSequence, hashThere: undefined });
    assert(compared.place === 'absent', 'what is missed is not there');
    await this.#knownTailFile.settle(known);
    return compared.error;
  }

  /** The next commit to accept, from the stream's leader; undefined when there is none. */
  messageBehindTail(): Promise<RawMessage | undefined> {
    return readMessage(this.#manager, this.tail.sequence + 1);
  }

  /** Sequence of the first commit that is kept; 1 for a journal that was never cut. */
  async firstSequence(): Promise<number> {
    return (await this.bounds()).first;
  }

  /** What the store holds now, as its leader says. */
  bounds(): Promise<StreamBounds> {
    return boundsOf(this.#manager);
  }

  /**
   * Sequence of the last commit, behind a write: no server that was deposed and does not know it answers
   * this. Throws what NATS threw.
   */
  confirmedEnd(): Promise<number> {
    return confirmedLastSequence(this.#manager);
  }

  /** Cuts the journal behind this sequence, which must lie before the tail. */
  async purgeUpTo(sequence: number): Promise<void> {
    assert(this.#state === 'leading' && sequence < this.tail.sequence, 'the tail stays');
    await purgeThrough(this.#manager, sequence);
  }

  /**
   * The election: whoever appends the next epoch right behind what it has replayed leads. An empty
   * journal gets its farm in the same commit. FurrowError: exhausted JOURNAL_REFUSED when the store
   * is full; else as `append`.
   */
  async startEpoch(): Promise<Election> {
    assert(this.#state === 'replayed', 'a leader has replayed the journal');
    assert(this.#trust !== 'unsure', 'a leader knows that this is the journal it has seen');
    const acceptsLoss = this.#trust === 'accepted';
    // No token is granted twice: the epoch is above all that was seen of the store that was lost.
    const epoch = Math.max(this.tail.epoch, this.#known?.epoch ?? 0) + 1;
    const election = await this.#writer.startEpoch(epoch, randomUUID, acceptsLoss);
    // Who has lost has said nothing in the name of that epoch: it may follow, and stand again.
    if (election.state === 'superseded') return election;
    this.#state = 'leading';
    this.#trust = 'vouched';
    this.#knownTailFile.note(this.tail);
    return election;
  }

  /**
   * Rejects only when it cannot be known whether the commit is stored, or when the store is another
   * one: FurrowError aborted JOURNAL_CLOSED, data-loss STORE_REPLACED. Both end this coordinator.
   */
  async append(facts: readonly Fact[], epoch: number, atMs: number): Promise<AppendOutcome> {
    if (this.#state === 'superseded') {
      return { state: 'superseded', message: 'another coordinator leads this farm' };
    }
    assert(this.#state === 'leading' && epoch === this.tail.epoch, 'only the leader appends');
    const outcome = await this.#writer.append(facts, atMs);
    if (outcome.state === 'committed') this.#knownTailFile.note(this.tail);
    else if (outcome.state === 'superseded') this.#state = 'superseded';
    return outcome;
  }

  /** Writes down what is known of the tail. An append that is still in doubt rejects. */
  async close(): Promise<void> {
    this.#writer.close();
    await this.#knownTailFile.close();
  }

  /** What was seen lies behind the place where the replay begins: looked at where it is still kept. */
  async #lookAtKnown(from: Tail): Promise<void> {
    const known = this.#known;
    if (known === undefined || known.sequence > from.sequence) return;
    if (known.sequence === from.sequence) {
      this.#hashAtKnown = from.hash;
      return;
    }
    const kept = await readMessage(this.#manager, known.sequence);
    if (kept !== undefined) this.#hashAtKnown = hashOf(kept.bytes);
  }

  async #compareWithKnown(farm: FarmLineage): Promise<Comparison> {
    const known = this.#known;
    if (known === undefined) return { place: 'here' };
    const { sequence } = this.tail;
    const lastSequence = sequence < known.sequence ? await this.#confirmedEnd() : sequence;
    const hashThere = this.#hashAtKnown;
    const compared = compareKnown(known, { farm, lastSequence, hashThere });
    if (compared.place === 'given-up') {
      this.#log.warn({ sequence: known.sequence }, 'what this coordinator has seen was given up');
    } else if (compared.place === 'untold' && hashThere === undefined) {
      this.#log.warn(
        { sequence: known.sequence },
        'the journal was cut above what this coordinator has seen: cannot compare it',
      );
    }
    return compared;
  }

  /** FurrowError: unavailable JOURNAL_UNREACHABLE, also when the replay did not read to the end. */
  async #confirmedEnd(): Promise<number> {
    let end: number;
    try {
      end = await this.confirmedEnd();
    } catch (error) {
      const message = `the journal ends before what was seen of it, and NATS does not confirm that (${messageOf(error)}): see that most of its servers run`;
      throw new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', message, { cause: error });
    }
    if (end === this.tail.sequence) return end;
    const message = `NATS answered with an old end of the journal, which is at ${end} now: start again`;
    throw new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', message);
  }

  /** A last message that is damaged on disk still counts, but is never delivered. */
  async #checkLastIsReadable(lastSequence: number): Promise<void> {
    if (lastSequence === 0) return;
    const last = await readTail(this.#manager);
    // A later one was appended in between, by a leader that still lives.
    if (last !== undefined && last.sequence >= lastSequence) return;
    throw damaged((last?.sequence ?? 0) + 1, `the store cannot read up to ${lastSequence}`);
  }
}
