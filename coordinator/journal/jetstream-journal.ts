/**
 * The journal on JetStream: replay, election and appends, each fenced by the sequence of the whole
 * stream. What always holds: `#tail` is a commit that is on disk and that we have read or written;
 * nothing is appended but right behind it; an append settles only when it is known whether it is
 * stored. Whoever finds another's commit there has lost for good.
 */
import assert from 'node:assert';
import { randomBytes, randomUUID } from 'node:crypto';
import type { JetStreamManager, NatsConnection } from 'nats';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Fact } from '../domain/facts.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../ports.ts';
import { EMPTY_TAIL, follow, type Tail } from './chain.ts';
import {
  damaged,
  decodeCommit,
  hashOf,
  MAX_COMMIT_BYTES,
  measureFact,
  sealCommit,
  type SealedCommit,
} from './commit-codec.ts';
import {
  boundsOf,
  ensureJournalStream,
  hasJournalStream,
  lastSequenceOf,
  publishCommit,
  purgeThrough,
  readMessage,
  readTail,
  type JournalStreamOptions,
  type RawMessage,
  type StreamBounds,
} from './journal-stream.ts';
import {
  checkKnownCommit,
  checkKnownEnd,
  checkKnownHash,
  KnownTailFile,
  readKnownTail,
  type KnownTail,
} from './known-tail.ts';
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

/** `leading`: the farm applies the commit's facts first of all. */
export type Election =
  | { readonly state: 'leading'; readonly commit: CommitRecord }
  | { readonly state: 'superseded'; readonly message: string };

const PUBLISH_TIMEOUT_MS = 2_000;
const FIRST_BACK_OFF_MS = 50;
const MOST_BACK_OFF_MS = 2_000;
/** A deposed leader of a cluster may answer with an old tail for a moment; a lost store stays so. */
const SHORT_TAIL_READS = 5;

/**
 * Makes the stream ready. FurrowError: data-loss STORE_RESTORED; failed-precondition
 * JOURNAL_STREAM_UNFIT; unavailable JOURNAL_UNREACHABLE when JetStream does not answer.
 */
export async function openJournal(options: JournalOptions): Promise<JetStreamJournal> {
  const seen = await readKnownTail(options.identityPath, options.log);
  const known = options.acceptRestoredStore ? undefined : seen;
  // An accepted store still must not grant a token twice: its next epoch is above all we have seen.
  const epochFloor = seen?.epoch ?? 0;
  const manager = await options.nats.jetstreamManager({
    checkAPI: false,
    timeout: PUBLISH_TIMEOUT_MS,
  });
  try {
    if (known !== undefined && !(await hasJournalStream(manager))) checkKnownEnd(known, 0);
    await ensureJournalStream(manager, options.stream);
  } catch (error) {
    if (error instanceof FurrowError) throw error;
    const message = `JetStream does not answer (${messageOf(error)}): is it enabled on the server?`;
    throw new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', message, { cause: error });
  }
  return new JetStreamJournal(options, manager, known, epochFloor);
}

export class JetStreamJournal implements Journal {
  readonly maxCommitBytes = MAX_COMMIT_BYTES;
  readonly writerId: Uint8Array = randomBytes(16);
  readonly #nats: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known: KnownTail | undefined;
  readonly #epochFloor: number;
  readonly #knownTailFile: KnownTailFile;
  #endBackOff: () => void = () => {};
  #isClosed = false;
  #tail: Tail = EMPTY_TAIL;
  #state: 'new' | 'replayed' | 'leading' | 'superseded' = 'new';
  #isAppending = false;

  constructor(
    options: JournalOptions,
    manager: JetStreamManager,
    known: KnownTail | undefined,
    epochFloor: number,
  ) {
    this.#nats = options.nats;
    this.#manager = manager;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#known = known;
    this.#epochFloor = epochFloor;
    this.#knownTailFile = new KnownTailFile(options.identityPath, options.clock, options.log);
  }

  /** What the journal ends with, as far as this process knows. */
  get tail(): Tail {
    return this.#tail;
  }

  measure(fact: Fact): number {
    return measureFact(fact);
  }

  /**
   * Hands over every commit behind `from` (a snapshot's end, or the beginning), checked. Before
   * `startEpoch`; again from another place when a snapshot turned out to be damaged. FurrowError:
   * data-loss JOURNAL_DAMAGED or STORE_RESTORED; failed-precondition JOURNAL_TOO_NEW; unavailable
   * REPLAY_STALLED.
   */
  async replay(
    onCommit: (commit: CommitRecord) => void,
    from: Tail = EMPTY_TAIL,
  ): Promise<ReplaySummary> {
    assert(this.#state === 'new' || this.#state === 'replayed', 'replay comes before leading');
    this.#tail = from;
    const lastSequence = await lastSequenceOf(this.#manager);
    if (this.#known !== undefined) checkKnownEnd(this.#known, lastSequence);
    if (this.#state === 'new') await this.#checkKnownBehind(from);
    await this.#checkLastIsReadable(lastSequence);
    let commits = 0;
    for await (const message of readMessages(this.#nats, from.sequence + 1, lastSequence)) {
      onCommit(this.accept(message));
      commits += 1;
    }
    this.#state = 'replayed';
    const { sequence, farmId, epoch } = this.#tail;
    return { commits, sequence, farmId, epoch };
  }

  /**
   * Takes the message right behind the tail, checked, as the new tail; for one that does not lead.
   * FurrowError: as `replay`.
   */
  accept(message: RawMessage): CommitRecord {
    assert(this.#state === 'new' || this.#state === 'replayed', 'a leader reads no commits');
    const commit = decodeCommit(message.bytes, message.sequence);
    if (this.#known !== undefined) checkKnownCommit(this.#known, commit);
    this.#tail = follow(this.#tail, commit);
    // What is behind what was seen before says less than the file does already.
    if (commit.sequence > (this.#known?.sequence ?? 0)) this.#knownTailFile.note(this.#tail);
    return commit;
  }

  /** The next commit to accept, from the stream's leader; undefined when there is none. */
  messageBehindTail(): Promise<RawMessage | undefined> {
    return readMessage(this.#manager, this.#tail.sequence + 1);
  }

  /** Sequence of the first commit that is kept; 1 for a journal that was never cut. */
  async firstSequence(): Promise<number> {
    return (await this.bounds()).first;
  }

  /** What the store holds now, as its leader says. */
  bounds(): Promise<StreamBounds> {
    return boundsOf(this.#manager);
  }

  /** Cuts the journal behind this sequence, which must lie before the tail. */
  async purgeUpTo(sequence: number): Promise<void> {
    assert(this.#state === 'leading' && sequence < this.#tail.sequence, 'the tail stays');
    await purgeThrough(this.#manager, sequence);
  }

  /**
   * The election: whoever appends the next epoch right behind what it has replayed leads. An empty
   * journal gets its farm in the same commit. FurrowError: exhausted JOURNAL_REFUSED when the store
   * is full; else as `append`.
   */
  async startEpoch(): Promise<Election> {
    assert(this.#state === 'replayed', 'a leader has replayed the journal');
    const atMs = this.#clock.wallMs();
    const epoch = Math.max(this.#tail.epoch, this.#epochFloor) + 1;
    const farmId = this.#tail.farmId ?? randomUUID();
    const facts: Fact[] = [{ type: 'EpochStarted', epoch, atMs }];
    if (this.#tail.farmId === undefined) facts.unshift({ type: 'FarmCreated', farmId, atMs });
    const outcome = await this.#appendBehindTail(facts, farmId, epoch, atMs);
    switch (outcome.state) {
      case 'committed': {
        this.#state = 'leading';
        const { number, sequence } = outcome;
        return { state: 'leading', commit: { farmId, epoch, number, atMs, sequence, facts } };
      }
      case 'superseded':
        // Nothing was said in the name of that epoch: it may follow, and stand again.
        this.#state = 'replayed';
        return outcome;
      case 'refused':
        throw new FurrowError('exhausted', 'JOURNAL_REFUSED', refusal(outcome.message));
    }
  }

  /**
   * Rejects only when it cannot be known whether the commit is stored, or when the store is another
   * one: FurrowError aborted JOURNAL_CLOSED, data-loss STORE_REPLACED. Both end this coordinator.
   */
  async append(facts: readonly Fact[], epoch: number, atMs: number): Promise<AppendOutcome> {
    if (this.#state === 'superseded') {
      return { state: 'superseded', message: 'another coordinator leads this farm' };
    }
    assert(this.#state === 'leading' && epoch === this.#tail.epoch, 'only the leader appends');
    const { farmId } = this.#tail;
    assert(farmId !== undefined);
    return this.#appendBehindTail(facts, farmId, epoch, atMs);
  }

  /** Writes down what is known of the tail. An append that is still in doubt rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endBackOff();
    await this.#knownTailFile.close();
  }

  /**
   * What was seen lies behind the place where the replay begins: compared where it is still kept. The
   * journal is cut below the snapshot before the last; what lies below that is left to `checkKnownEnd`.
   */
  async #checkKnownBehind(from: Tail): Promise<void> {
    const known = this.#known;
    if (known === undefined || known.sequence > from.sequence) return;
    if (known.sequence === from.sequence) return checkKnownHash(known, from.hash);
    const kept = await readMessage(this.#manager, known.sequence);
    if (kept !== undefined) return checkKnownHash(known, hashOf(kept.bytes));
    this.#log.warn(
      { sequence: known.sequence },
      'the journal was cut above what this coordinator has seen: cannot compare it',
    );
  }

  /** A last message that is damaged on disk still counts, but is never delivered. */
  async #checkLastIsReadable(lastSequence: number): Promise<void> {
    if (lastSequence === 0) return;
    const last = await readTail(this.#manager);
    // A later one was appended in between, by a leader that still lives.
    if (last !== undefined && last.sequence >= lastSequence) return;
    throw damaged((last?.sequence ?? 0) + 1, `the store cannot read up to ${lastSequence}`);
  }

  async #appendBehindTail(
    facts: readonly Fact[],
    farmId: string,
    epoch: number,
    atMs: number,
  ): Promise<AppendOutcome> {
    assert(!this.#isAppending, 'one append is in flight at a time');
    this.#isAppending = true;
    try {
      const { number, hash: previousHash } = this.#tail;
      const { writerId } = this;
      const header = { farmId, epoch, writerId, number: number + 1, previousHash, atMs };
      const sealed = sealCommit(header, facts);
      const outcome = await this.#settle(sealed);
      if (outcome.state === 'committed') {
        const { sequence } = outcome;
        this.#tail = { farmId, epoch, number: sealed.number, sequence, hash: sealed.hash };
        this.#knownTailFile.note(this.#tail);
      } else if (outcome.state === 'superseded') {
        this.#state = 'superseded';
      }
      return outcome;
    } finally {
      this.#isAppending = false;
    }
  }

  /** Sends until it is certain what became of the commit. */
  async #settle(sealed: SealedCommit): Promise<AppendOutcome> {
    const { sequence: expected } = this.#tail;
    // A send without an answer may arrive later: from then on no refusal is the last word.
    let mayStillArrive = false;
    for (let tries = 0; ; tries++) {
      if (tries > 0) await this.#backOff(tries - 1);
      const answer = await publishCommit(this.#nats, sealed.bytes, expected, PUBLISH_TIMEOUT_MS);
      if (answer.state === 'stored' && answer.sequence === expected + 1) {
        return { state: 'committed', number: sealed.number, sequence: answer.sequence };
      }
      mayStillArrive ||= answer.state === 'unknown';
      const message = answer.state === 'stored' ? 'stored out of order' : answer.message;
      this.#log.warn(
        { number: sealed.number, answer: answer.state, reason: message },
        'append without a clear answer, reading the tail',
      );
      const place = await this.#findTail(sealed);
      if (place.state !== 'unchanged') return place;
      if (answer.state === 'rejected' && !mayStillArrive) {
        return { state: 'refused', message: refusal(message) };
      }
    }
  }

  /** Reads the tail, for as long as that takes, and compares it with what we expected and sent. */
  async #findTail(sealed: SealedCommit): Promise<AppendOutcome | { readonly state: 'unchanged' }> {
    const { sequence: expected, hash } = this.#tail;
    let shortReads = 0;
    for (let tries = 0; ; tries++) {
      const tail = await this.#tryReadTail(tries === 0 ? 'warn' : 'debug');
      if (tail !== 'unreachable') {
        const { sequence, hash: tailHash } = tail;
        if (sequence === expected + 1 && tailHash === sealed.hash) {
          return { state: 'committed', number: sealed.number, sequence };
        }
        if (sequence > expected) return { state: 'superseded', message: overtaken(sequence) };
        if (sequence === expected && tailHash === hash) return { state: 'unchanged' };
        shortReads += 1;
        if (shortReads >= SHORT_TAIL_READS) throw replaced(expected, sequence);
      }
      await this.#backOff(tries);
    }
  }

  async #tryReadTail(
    level: 'warn' | 'debug',
  ): Promise<{ sequence: number; hash: string } | 'unreachable'> {
    let raw: RawMessage | undefined;
    try {
      raw = await readTail(this.#manager);
    } catch (error) {
      this.#log[level]({ error: messageOf(error) }, 'cannot read the tail of the journal');
      return 'unreachable';
    }
    return raw === undefined
      ? { sequence: 0, hash: '' }
      : { sequence: raw.sequence, hash: hashOf(raw.bytes) };
  }

  /** With jitter, so that two candidates do not keep in step. Rejects when the journal closes. */
  async #backOff(tries: number): Promise<void> {
    const mostMs = Math.min(MOST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(tries, 10));
    const delayMs = mostMs * (0.5 + Math.random() / 2);
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#endBackOff = () => {
        cancel();
        resolve();
      };
      if (this.#isClosed) this.#endBackOff();
    });
    if (this.#isClosed) {
      const message = 'the journal was closed before the outcome of an append was known';
      throw new FurrowError('aborted', 'JOURNAL_CLOSED', message);
    }
  }
}

const overtaken = (sequence: number): string =>
  `another coordinator leads this farm: the journal goes on at sequence ${sequence} without this one`;

const refusal = (reason: string): string =>
  `NATS does not store the journal (${reason}): make room in its store`;

function replaced(expected: number, actual: number): FurrowError {
  const found = actual < expected ? `ends at sequence ${actual}` : 'holds another commit there';
  const message = `sequence ${expected} was written, but the journal now ${found}: the NATS store was replaced or lost data, put the right store back`;
  return new FurrowError('data-loss', 'STORE_REPLACED', message);
}
