/**
 * Follows the journal of another's reign: every commit as it is appended, checked and in order. It
 * knows how far behind it may be, and says so when the journal was cut above the place it has reached.
 */
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { CommitRecord } from '../ports.ts';
import type { JetStreamJournal } from './jetstream-journal.ts';

/** The journal as one reads it who does not lead. */
export type FollowedJournal = Pick<
  JetStreamJournal,
  'tail' | 'bounds' | 'confirmedEnd' | 'messageBehindTail' | 'accept'
>;

export interface FollowerOptions {
  readonly journal: FollowedJournal;
  /** Calls `wake` when an append is on its way, until the answer is called. */
  readonly hearAppends: (wake: () => void) => () => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** What it throws ends the following, if it is a FurrowError that is not retryable. */
  readonly onCommit: (commit: CommitRecord) => void;
}

/** `cut`: commits that were not read are gone from the journal; only a snapshot leads further. */
export type FollowEnd = 'stopped' | 'cut';

const LOOK_MS = 1_000;
const AGAIN_MS = 500;
const REACH_POLL_MS = 20;
/** From an append's being sent to its being stored, as a rule. */
const STORED_AFTER_MS = 5;
/** A commit that nobody announced is seen so late. */
const UNANNOUNCED_MS = 250;
/** A deposed leader of a cluster may answer with an old end for a moment; a lost store stays so. */
const SHORT_LOOKS = 5;

export class Follower {
  readonly #options: FollowerOptions;
  #stopping = new AbortController();
  #running: Promise<FollowEnd> | undefined;
  /** Sequence of the journal's end, and when it was read. */
  #end = 0;
  #lookedAtMs: number;
  /** When everything that the journal held was last known to have been read. */
  #wholeAtMs: number;
  #shortLooks = 0;
  /** The latest question to NATS where the journal ends, and the one after it. */
  #asked: Promise<number> = Promise.resolve(0);
  #nextAsked: Promise<number> | undefined;
  #hasComplained = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#lookedAtMs = options.clock.monotonicMs();
    this.#wholeAtMs = this.#lookedAtMs;
  }

  /** Commits that are known to lie ahead. */
  get lagCommits(): number {
    return Math.max(0, this.#end - this.#options.journal.tail.sequence);
  }

  /** What was read may be so old, in milliseconds. */
  get ageMs(): number {
    return this.#options.clock.monotonicMs() - this.#wholeAtMs;
  }

  /**
   * Begins behind the journal's tail, unless it does so already. Settles when stopped or cut off; rejects
   * with FurrowError when what it reads cannot be followed: data-loss, JOURNAL_TOO_NEW.
   */
  start(): Promise<FollowEnd> {
    if (this.#running === undefined) {
      this.#stopping = new AbortController();
      this.#running = this.#run(this.#stopping.signal);
    }
    return this.#running;
  }

  /** Settles when nothing more is read. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running?.catch(() => undefined);
    this.#running = undefined;
  }

  /**
   * Settles once all has been read that the journal holds now: what is not known then is nowhere. A server
   * that is cut off from the others may not know the end, so its word is not enough. FurrowError:
   * unavailable BEHIND.
   */
  async reachEnd(patienceMs: number): Promise<void> {
    const { clock, journal } = this.#options;
    const deadlineMs = clock.monotonicMs() + patienceMs;
    const last = await this.#confirmedEnd().catch((error: unknown) => {
      throw behind(messageOf(error));
    });
    while (journal.tail.sequence < last) {
      if (clock.monotonicMs() > deadlineMs) {
        throw behind(`${last - journal.tail.sequence} commits are not read yet`);
      }
      await this.#pause(REACH_POLL_MS);
    }
  }

  /** It costs a write: those who ask while another question is under way share the next one. */
  #confirmedEnd(): Promise<number> {
    this.#nextAsked ??= this.#asked
      .catch(() => undefined)
      .then(() => {
        this.#nextAsked = undefined;
        this.#asked = this.#options.journal.confirmedEnd();
        return this.#asked;
      });
    return this.#nextAsked;
  }

  async #run(signal: AbortSignal): Promise<FollowEnd> {
    while (!signal.aborted) {
      const round = new AbortController();
      const end = (): void => round.abort();
      signal.addEventListener('abort', end, { once: true });
      try {
        const isCut = await Promise.race([this.#read(round.signal), this.#watchEnd(round.signal)]);
        if (isCut) return 'cut';
      } catch (error) {
        if (error instanceof FurrowError && !error.retryable) throw error;
        this.#complain(error);
      } finally {
        end();
        signal.removeEventListener('abort', end);
      }
      if (!signal.aborted) await this.#pause(AGAIN_MS);
    }
    return 'stopped';
  }

  /**
   * Asks the stream's leader for one commit after another: no consumer that could be lost or reset, and
   * each is asked for by its number. The leader's appends, heard on their way, say when to look.
   */
  async #read(signal: AbortSignal): Promise<false> {
    const { journal, hearAppends, onCommit } = this.#options;
    let isAnnounced = false;
    let wake = (): void => {};
    const turnAway = hearAppends(() => {
      isAnnounced = true;
      wake();
    });
    try {
      while (!signal.aborted) {
        isAnnounced = false;
        const message = await journal.messageBehindTail();
        // Another round, or a reign, has begun meanwhile.
        if (signal.aborted) break;
        if (message === undefined) {
          if (!isAnnounced) await this.#pause(UNANNOUNCED_MS, (end) => (wake = end));
          await this.#pause(STORED_AFTER_MS);
          continue;
        }
        onCommit(journal.accept(message));
        if (journal.tail.sequence >= this.#end) this.#wholeAtMs = this.#lookedAtMs;
      }
      return false;
    } finally {
      turnAway();
    }
  }

  /** True once the journal is cut above the tail. */
  async #watchEnd(signal: AbortSignal): Promise<boolean> {
    const { journal, clock } = this.#options;
    while (!signal.aborted) {
      const askedAtMs = clock.monotonicMs();
      const { first, last } = await journal.bounds();
      const { sequence } = journal.tail;
      if (first > sequence + 1) return true;
      this.#checkNotShort(last, sequence);
      this.#end = last;
      this.#lookedAtMs = askedAtMs;
      this.#hasComplained = false;
      if (sequence >= last) this.#wholeAtMs = askedAtMs;
      await this.#pause(LOOK_MS);
    }
    return false;
  }

  /** Once for each time that the journal is out of reach. */
  #complain(error: unknown): void {
    if (this.#hasComplained) return;
    this.#hasComplained = true;
    this.#options.log.warn({ error: messageOf(error) }, 'cannot follow the journal, trying on');
  }

  #checkNotShort(last: number, sequence: number): void {
    this.#shortLooks = last < sequence ? this.#shortLooks + 1 : 0;
    if (this.#shortLooks < SHORT_LOOKS) return;
    const message = `sequence ${sequence} of the journal was read, but now it ends at ${last}: the NATS store was replaced or lost data, put the right store back`;
    throw new FurrowError('data-loss', 'STORE_REPLACED', message);
  }

  /** Ends early when it is stopped, and when what `handOver` is given is called. */
  #pause(delayMs: number, handOver: (end: () => void) => void = () => {}): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#options.clock.after(delayMs, end);
      signal.addEventListener('abort', end, { once: true });
      handOver(end);
    });
  }
}

function behind(why: string): FurrowError {
  const message = `this coordinator stands by and is behind the journal (${why}): try again in a while`;
  return new FurrowError('unavailable', 'BEHIND', message);
}
