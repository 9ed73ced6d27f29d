/**
 * From decided facts to commits, and from commits to words. One append is in flight; what is decided meanwhile
 * gathers in the next commit. What may be said rests on a commit, and is said when that one is on disk.
 *
 * Always holds: facts are committed in the order in which they were added, and nothing is said of a commit that
 * is not certain.
 */
import type { Clock } from '../kit/clock.ts';
import { messageOf } from '../kit/furrow-error.ts';
import { commitToAwait } from './domain/barrier.ts';
import type { Barrier } from './domain/commands.ts';
import type { Fact } from './domain/facts.ts';
import type { Farm } from './domain/farm.ts';
import { StepViews } from './domain/step-views.ts';
import { Touched } from './domain/touched.ts';
import type { JournalStanding } from './journal-standing.ts';
import type { AppendOutcome, Effects, Journal } from './ports.ts';

export interface CommitFlowOptions {
  readonly farm: Farm;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly effects: Pick<Effects, 'committed'>;
  /** Nothing is to be decided until the next `stored`. */
  readonly suspended: (standing: Exclude<JournalStanding, { readonly state: 'ok' }>) => void;
  /** A commit is on disk, and all that rests on it has been said. */
  readonly stored: () => void;
  /** Another coordinator leads. */
  readonly superseded: (message: string) => void;
}

interface Batch {
  readonly facts: Fact[];
  readonly releases: (() => void)[];
  readonly touched: Touched;
  bytes: number;
  /** Commit even when there are no facts: somebody waits for proof that we still lead. */
  forced: boolean;
}

const DOUBT_AFTER_MS = 1_000;
const RETRY_REFUSED_MS = 2_000;

export class CommitFlow {
  readonly #options: CommitFlowOptions;
  readonly #stepViews = new StepViews();
  #open = newBatch();
  #inFlight: Batch | undefined;
  #standing: JournalStanding = { state: 'ok' };
  #isStopped = false;
  #lastCommitMs: number;

  constructor(options: CommitFlowOptions) {
    this.#options = options;
    this.#lastCommitMs = options.clock.monotonicMs();
  }

  get standing(): JournalStanding {
    return this.#standing;
  }

  /** When the last commit was known to be on disk, by the monotonic clock. */
  get lastCommitMs(): number {
    return this.#lastCommitMs;
  }

  /** Whether the next commit has room for what a command may decide. */
  get hasRoom(): boolean {
    return this.#open.bytes < this.#options.journal.maxCommitBytes / 2;
  }

  /** Whether the farm is exactly what is on disk. */
  get isQuiet(): boolean {
    return this.#inFlight === undefined && this.#open.facts.length === 0;
  }

  /** Whether the farm's job is what the last commit made of it: nothing newer could still be lost. */
  isOnDisk(job: number): boolean {
    const isTouched = (batch: Batch | undefined): boolean => batch?.touched.jobs.has(job) === true;
    return !isTouched(this.#open) && !isTouched(this.#inFlight);
  }

  /** Puts a fact into the next commit; told before it is applied to the farm. */
  add(fact: Fact): void {
    const { farm, journal } = this.#options;
    this.#open.touched.note(farm, fact);
    this.#open.facts.push(fact);
    this.#open.bytes += journal.measure(fact);
  }

  /** There is a next commit, whether or not there are facts for it. */
  force(): void {
    this.#open.forced = true;
  }

  /** Calls back once the commit that the words rest on is on disk. */
  whenAllowed(barrier: Barrier, say: () => void): void {
    if (barrier === 'fresh') this.force();
    const isOpen = this.#open.facts.length > 0;
    const isInFlight = this.#inFlight !== undefined;
    switch (commitToAwait(barrier, { isOpen, isInFlight })) {
      case 'next':
        this.#open.releases.push(say);
        return;
      case 'in-flight':
        this.#inFlight?.releases.push(say);
        return;
      case 'none':
        say();
    }
  }

  /** Appends what was added so far, unless an append is in flight or there is nothing to append. */
  seal(): void {
    if (this.#inFlight !== undefined) return;
    if (this.#open.facts.length === 0 && !this.#open.forced) return;
    const batch = this.#open;
    this.#open = newBatch();
    this.#inFlight = batch;
    void this.#append(batch);
  }

  /** What is in flight may still be committed, but nothing is said of it. */
  stop(): void {
    this.#isStopped = true;
  }

  async #append(batch: Batch): Promise<void> {
    const { farm, clock, effects, stored, superseded } = this.#options;
    const seen = batch.touched.views(farm, this.#stepViews);
    const atMs = clock.wallMs();
    let outcome: AppendOutcome;
    try {
      outcome = await this.#appendUntilCertain(batch.facts, atMs);
    } catch (error) {
      // Whether it is stored will never be known here: no word that rests on it may be said.
      outcome = { state: 'superseded', message: messageOf(error) };
    }
    if (this.#isStopped) return;
    if (outcome.state === 'superseded') {
      this.stop();
      superseded(outcome.message);
      return;
    }
    if (outcome.state === 'refused') throw new Error('a refused append was not offered again');
    this.#inFlight = undefined;
    this.#standing = { state: 'ok' };
    this.#lastCommitMs = clock.monotonicMs();
    const { number, sequence } = outcome;
    effects.committed({ number, sequence, atMs, facts: batch.facts, ...seen });
    for (const release of batch.releases) release();
    stored();
  }

  /** Appends, and offers the same facts again for as long as the store refuses. */
  async #appendUntilCertain(facts: readonly Fact[], atMs: number): ReturnType<Journal['append']> {
    const { farm, journal, clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      const cancelDoubt = clock.after(DOUBT_AFTER_MS, () => {
        if (this.#standing.state === 'ok') this.#suspend({ state: 'in-doubt', sinceMs });
      });
      const outcome = await journal.append(facts, farm.epoch, atMs);
      cancelDoubt();
      if (outcome.state !== 'refused' || this.#isStopped) return outcome;
      this.#suspend({ state: 'refusing', sinceMs, message: outcome.message });
      await new Promise<void>((resolve) => clock.after(RETRY_REFUSED_MS, resolve));
    }
  }

  #suspend(standing: Exclude<JournalStanding, { readonly state: 'ok' }>): void {
    this.#standing = standing;
    this.#options.suspended(standing);
  }
}

function newBatch(): Batch {
  return { facts: [], releases: [], touched: new Touched(), bytes: 0, forced: false };
}
