/**
 * One coordinator's way through its duties: it stands by and follows another's reign until it is its
 * turn, stands for election, and leads to the end. Nothing is decided before the epoch is its own, and
 * whoever lost it never decides again.
 *
 * The key, the journal and time are arguments: the simulator runs this same code.
 */
import type { Clock } from '../kit/clock.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { CommandLoop } from './command-loop.ts';
import type { CommitFold } from './commit-fold.ts';
import { type LeaderAddress, type LeaderKey, POLL_MS } from './journal/election.ts';
import type { Follower } from './journal/follower.ts';
import type { JetStreamJournal } from './journal/jetstream-journal.ts';
import type { Office } from './office.ts';

/**
 * Why a coordinator is at its end.
 * - `closed`: it was asked to.
 * - `deposed`: another leads.
 * - `cut-off`: it stood by, and the journal was cut above what it had read: started again, it begins
 *   at a snapshot.
 */
export type Ending =
  | { readonly state: 'closed' }
  | { readonly state: 'deposed'; readonly reason: string }
  | { readonly state: 'cut-off' };

export interface CandidateOptions {
  readonly key: Pick<LeaderKey, 'tryTurn' | 'hold' | 'release'>;
  readonly journal: Pick<JetStreamJournal, 'tail' | 'bounds' | 'replay' | 'startEpoch'>;
  readonly follower: Pick<Follower, 'start' | 'stop'>;
  readonly fold: CommitFold;
  readonly office: Office;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when it is asked to end. */
  readonly closing: AbortSignal;
  /** Starts what only a leader runs. `deposed` is called once another leads. */
  readonly beginReign: (deposed: (reason: string) => void) => CommandLoop;
  /** It leads, or stands by under `leader` (undefined while nobody is known to lead), from now on. */
  readonly onDuty: (leader: LeaderAddress | undefined) => Promise<void>;
}

/** After an election that another won by a commit: its key will be fresh by then. */
const AFTER_DEFEAT_MS = 2_000;

/** Settles at its end. Rejects with FurrowError when it can neither lead nor follow. */
export async function serve(options: CandidateOptions): Promise<Ending> {
  const { closing } = options;
  const candidate = new Candidate(options);
  try {
    return await candidate.serve();
  } catch (error) {
    // What was under way when it was closed.
    if (closing.aborted) return { state: 'closed' };
    throw error;
  }
}

class Candidate {
  readonly #options: CandidateOptions;
  #following:
    | { readonly state: 'no' | 'yes' | 'cut' }
    | { readonly state: 'failed'; readonly error: unknown } = { state: 'no' };
  #wake = (): void => {};

  constructor(options: CandidateOptions) {
    this.#options = options;
    options.closing.addEventListener('abort', () => this.#wake(), { once: true });
  }

  async serve(): Promise<Ending> {
    const { key, follower, closing } = this.#options;
    for (;;) {
      const turn = await key.tryTurn();
      if (closing.aborted) return { state: 'closed' };
      if (turn.state === 'ours') {
        await follower.stop();
        this.#following = { state: 'no' };
        const ending = await this.#standForElection();
        if (ending !== 'defeated') return ending;
        await this.#pause(AFTER_DEFEAT_MS);
        continue;
      }
      await this.#standBy(turn.state === 'taken' ? turn.leader : undefined);
      if (this.#following.state === 'no') this.#follow();
      await this.#pause(POLL_MS);
      if (this.#following.state === 'failed') throw this.#following.error;
      if (this.#following.state === 'cut') return { state: 'cut-off' };
    }
  }

  /** Reads on beside. Heard of once: a promise that is raced again and again keeps every racer. */
  #follow(): void {
    this.#following = { state: 'yes' };
    this.#options.follower.start().then(
      (end) => {
        if (end === 'cut') this.#following = { state: 'cut' };
        this.#wake();
      },
      (error: unknown) => {
        this.#following = { state: 'failed', error };
        this.#wake();
      },
    );
  }

  async #standBy(leader: LeaderAddress | undefined): Promise<void> {
    const { office, onDuty } = this.#options;
    office.standBy(leader);
    await onDuty(leader);
  }

  /** Reads to the end of the journal and appends the next epoch right behind it. */
  async #standForElection(): Promise<Ending | 'defeated'> {
    const { key, journal, fold, log } = this.#options;
    const caughtUp = await this.#catchUp();
    if (caughtUp === 'cut') return { state: 'cut-off' };
    if (caughtUp === 'unreachable') {
      await key.release();
      return 'defeated';
    }
    const election = await journal.startEpoch();
    if (election.state === 'superseded') {
      log.info({ reason: election.message }, 'another coordinator was faster');
      await key.release();
      return 'defeated';
    }
    fold.take(election.commit);
    return this.#lead();
  }

  async #catchUp(): Promise<'whole' | 'cut' | 'unreachable'> {
    const { journal, fold, log } = this.#options;
    const { tail } = journal;
    try {
      if ((await journal.bounds()).first > tail.sequence + 1) return 'cut';
      await journal.replay((commit) => fold.take(commit), tail);
      return 'whole';
    } catch (error) {
      // What NATS throws passes; what is wrong with the journal does not.
      if (error instanceof FurrowError && !error.retryable) throw error;
      log.warn({ error: messageOf(error) }, 'cannot read the journal to its end, trying on');
      return 'unreachable';
    }
  }

  async #lead(): Promise<Ending> {
    const { key, fold, office, log, closing, beginReign, onDuty } = this.#options;
    const { commitsSince } = fold;
    const deposed = new Promise<Ending>((resolve) => {
      const loop = beginReign((reason) => resolve({ state: 'deposed', reason }));
      office.lead(loop);
      key.hold(() => loop.proveLead());
    });
    await onDuty(undefined);
    const { epoch, farmId, jobs } = fold.farm;
    log.info({ farm: farmId, epoch, jobs: jobs.size, commits: commitsSince }, 'leading');
    const closed = new Promise<Ending>((resolve) => {
      if (closing.aborted) resolve({ state: 'closed' });
      closing.addEventListener('abort', () => resolve({ state: 'closed' }), { once: true });
    });
    return Promise.race([deposed, closed]);
  }

  /** Ends early when it is closed, or when nothing more is followed. */
  #pause(delayMs: number): Promise<void> {
    const { clock, closing } = this.#options;
    if (closing.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
