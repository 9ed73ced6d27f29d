/**
 * Appends commits, each fenced by the sequence of the whole stream, and settles what became of them.
 * What always holds: `tail` is a commit that is on disk and that was read or written here; nothing is
 * appended but right behind it; an append settles only when it is known whether it is stored. Whoever
 * finds another's commit there has lost for good.
 *
 * The stream, time and chance are arguments: JetStream and the simulator run this same code.
 */
import assert from 'node:assert';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Fact } from '../domain/facts.ts';
import type { AppendOutcome, CommitRecord } from '../ports.ts';
import { EMPTY_TAIL, type Tail } from './chain.ts';
import { hashOf, sealCommit, type SealedCommit } from './commit-codec.ts';
import { reignIdOf } from './fact-codec.ts';

export interface RawMessage {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/**
 * - `stored`: at this sequence, on disk if the server syncs always.
 * - `not-stored`: this send was not taken; an earlier send of the same bytes may have been.
 * - `rejected`: the store does not want it (full, too large).
 * - `unknown`: it may be stored, or still be on its way.
 */
export type PublishAnswer =
  | { readonly state: 'stored'; readonly sequence: number }
  | { readonly state: 'not-stored'; readonly message: string }
  | { readonly state: 'rejected'; readonly message: string }
  | { readonly state: 'unknown'; readonly message: string };

/** The stream that the journal is kept in. */
export interface CommitStream {
  /** Sends once, to be stored only if the stream ends with this sequence. Never rejects. */
  publish(bytes: Uint8Array, expectedLastSequence: number): Promise<PublishAnswer>;
  /** The last message, from the stream's leader; undefined when empty. Rejects when out of reach. */
  readTail(): Promise<RawMessage | undefined>;
  /**
   * Settles behind a write that changes nothing: a server that leads the stream no longer, or not yet
   * with all that it holds, cannot answer it, as it does answer reads. Rejects when out of reach.
   */
  confirm(): Promise<void>;
}

export interface JournalWriterOptions {
  readonly stream: CommitStream;
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
  /** 16 bytes that no other process has. */
  readonly writerId: Uint8Array;
}

/** `leading`: the farm applies the commit's facts first of all. */
export type Election =
  | { readonly state: 'leading'; readonly commit: CommitRecord }
  | { readonly state: 'superseded'; readonly message: string };

const FIRST_BACK_OFF_MS = 50;
const MOST_BACK_OFF_MS = 2_000;
/**
 * A server of a cluster may answer with an old tail: one that was deposed and does not know it, and before
 * 2.11 a new leader that has not applied its log. After so many short reads it must confirm them.
 */
const SHORT_TAIL_READS = 5;

export class JournalWriter {
  readonly #options: JournalWriterOptions;
  #tail: Tail = EMPTY_TAIL;
  #isAppending = false;
  #isClosed = false;
  #endBackOff: () => void = () => {};

  constructor(options: JournalWriterOptions) {
    this.#options = options;
  }

  /** What the journal ends with, as far as this process knows. */
  get tail(): Tail {
    return this.#tail;
  }

  /** The journal was read up to here: the next commit goes behind it. */
  startFrom(tail: Tail): void {
    assert(!this.#isAppending, 'the tail is not moved under an append');
    this.#tail = tail;
  }

  /**
   * Appends the first commit of a reign right behind the tail; an empty journal gets its farm in the
   * same commit. `acceptsLoss`: a person gave up what the journal lacks. FurrowError: exhausted
   * JOURNAL_REFUSED when the store is full; else as `append`.
   */
  async startEpoch(epoch: number, newFarmId: () => string, acceptsLoss = false): Promise<Election> {
    const atMs = this.#options.clock.wallMs();
    const farmId = this.#tail.farmId ?? newFarmId();
    const reignId = reignIdOf(this.#options.writerId);
    const first = this.#tail.sequence + 1;
    const facts: Fact[] = [
      { type: 'EpochStarted', epoch, reignId, sequence: first, acceptsLoss, atMs },
    ];
    if (this.#tail.farmId === undefined) facts.unshift({ type: 'FarmCreated', farmId, atMs });
    const outcome = await this.#appendBehindTail(facts, farmId, epoch, atMs);
    switch (outcome.state) {
      case 'committed': {
        const { number, sequence } = outcome;
        return { state: 'leading', commit: { farmId, epoch, number, atMs, sequence, facts } };
      }
      case 'superseded':
        return outcome;
      case 'refused':
        throw new FurrowError('exhausted', 'JOURNAL_REFUSED', outcome.message);
    }
  }

  /**
   * Rejects only when it cannot be known whether the commit is stored, or when the store is another
   * one: FurrowError aborted JOURNAL_CLOSED, data-loss STORE_REPLACED. Both end this coordinator.
   */
  async append(facts: readonly Fact[], atMs: number): Promise<AppendOutcome> {
    const { farmId, epoch } = this.#tail;
    assert(farmId !== undefined, 'a reign has begun');
    return this.#appendBehindTail(facts, farmId, epoch, atMs);
  }

  /** An append that is still in doubt rejects. */
  close(): void {
    this.#isClosed = true;
    this.#endBackOff();
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
      const { writerId } = this.#options;
      const header = { farmId, epoch, writerId, number: number + 1, previousHash, atMs };
      const sealed = sealCommit(header, facts);
      const outcome = await this.#settle(sealed);
      if (outcome.state === 'committed') {
        const { sequence } = outcome;
        const reignId = reignIdOf(writerId);
        this.#tail = { farmId, epoch, reignId, number: sealed.number, sequence, hash: sealed.hash };
      }
      return outcome;
    } finally {
      this.#isAppending = false;
    }
  }

  /** Sends until it is certain what became of the commit. */
  async #settle(sealed: SealedCommit): Promise<AppendOutcome> {
    const { stream, log } = this.#options;
    const { sequence: expected } = this.#tail;
    // A send without an answer may arrive later: from then on no refusal is the last word.
    let mayStillArrive = false;
    for (let tries = 0; ; tries++) {
      if (tries > 0) await this.#backOff(tries - 1);
      const answer = await stream.publish(sealed.bytes, expected);
      if (answer.state === 'stored' && answer.sequence === expected + 1) {
        return { state: 'committed', number: sealed.number, sequence: answer.sequence };
      }
      mayStillArrive ||= answer.state === 'unknown';
      const message = answer.state === 'stored' ? 'stored out of order' : answer.message;
      log.warn(
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
    let isConfirmed = false;
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
        if (isConfirmed) throw replaced(expected, sequence);
        if (shortReads >= SHORT_TAIL_READS) isConfirmed = await this.#confirm();
      }
      await this.#backOff(tries);
    }
  }

  async #confirm(): Promise<boolean> {
    const { stream, log } = this.#options;
    try {
      await stream.confirm();
      return true;
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the journal is short, and NATS does not confirm that');
      return false;
    }
  }

  async #tryReadTail(
    level: 'warn' | 'debug',
  ): Promise<{ sequence: number; hash: string } | 'unreachable'> {
    const { stream, log } = this.#options;
    let raw: RawMessage | undefined;
    try {
      raw = await stream.readTail();
    } catch (error) {
      log[level]({ error: messageOf(error) }, 'cannot read the tail of the journal');
      return 'unreachable';
    }
    return raw === undefined
      ? { sequence: 0, hash: '' }
      : { sequence: raw.sequence, hash: hashOf(raw.bytes) };
  }

  /** With jitter, so that two candidates do not keep in step. Rejects when the journal closes. */
  async #backOff(tries: number): Promise<void> {
    const { clock, random } = this.#options;
    const mostMs = Math.min(MOST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(tries, 10));
    const delayMs = mostMs * (0.5 + random() / 2);
    await new Promise<void>((resolve) => {
      const cancel = clock.after(delayMs, resolve);
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
