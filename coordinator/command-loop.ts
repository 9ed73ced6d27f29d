/**
 * The single writer. Commands are decided one after another; their facts are applied at once and
 * gathered into a batch; one append is in flight, what arrives meanwhile forms the next.
 *
 * Always holds: nothing is said outward before the commit that it rests on; the farm is the fold of
 * all commits and of the open batch.
 */
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Clock } from '../kit/clock.ts';
import { apply } from './domain/apply.ts';
import { grantOrders } from './domain/assignment.ts';
import { commitToAwait } from './domain/barrier.ts';
import type { Answer, Barrier, Command } from './domain/commands.ts';
import { decide } from './domain/decide.ts';
import type { Decision, Now } from './domain/decision.ts';
import type { Fact, LeasesGranted } from './domain/facts.ts';
import type { Farm } from './domain/farm.ts';
import { followUp, isVoid } from './domain/follow-up.ts';
import {
  type Beat,
  extendByStall,
  faultOfBeat,
  type Liveness,
  observeBeat,
  observeClosedStream,
  observeGrantAnswer,
} from './domain/liveness.ts';
import { place } from './domain/placement.ts';
import { track } from './domain/track.ts';
import { viewOfJob } from './domain/views.ts';
import type { AppendOutcome, Effects, Journal } from './ports.ts';

export interface CommandLoopOptions {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly effects: Effects;
}

/** How the journal stands. `inDoubt`: an append is without an answer for over a second. */
export type JournalStanding =
  | { readonly state: 'ok' }
  | { readonly state: 'in-doubt'; readonly sinceMs: number }
  | { readonly state: 'refusing'; readonly message: string };

/** What a beat is answered with at once: all leases it listed are renewed. */
export interface BeatReply {
  readonly releasedGrant: number;
  readonly drain: boolean;
}

interface Batch {
  readonly facts: Fact[];
  readonly releases: (() => void)[];
  readonly touchedJobs: Set<number>;
  bytes: number;
  /** Commit even when there are no facts: somebody waits for proof that we still lead. */
  forced: boolean;
}

interface Waiting {
  readonly command: Command;
  readonly settle: (answer: Answer) => void;
}

const TICK_MS = 250;
/** A tick this late means that our own process stood still. */
const STALL_MS = 1_000;
const DOUBT_AFTER_MS = 1_000;
const RETRY_REFUSED_MS = 2_000;
/** A leader with nothing to write must still find out that another took over. */
const PROVE_LEAD_MS = 30_000;

export class CommandLoop {
  readonly #options: CommandLoopOptions;
  #queue: Waiting[] = [];
  readonly #reads: (() => void)[] = [];
  readonly #quiet: (() => void)[] = [];
  /** Those who asked and have no answer yet: told when the journal is out of reach. */
  readonly #unanswered = new Set<(error: FurrowError) => void>();
  #open = newBatch();
  #inFlight: Batch | undefined;
  #standing: JournalStanding = { state: 'ok' };
  #isScheduled = false;
  #state: 'running' | 'stopped' = 'running';
  #lastTickMs: number;
  #lastCommitMs: number;
  #cancelTick: () => void = () => {};

  constructor(options: CommandLoopOptions) {
    this.#options = options;
    this.#lastTickMs = options.clock.monotonicMs();
    this.#lastCommitMs = this.#lastTickMs;
    this.#scheduleTick();
  }

  get standing(): JournalStanding {
    return this.#standing;
  }

  /**
   * Puts a command in the queue. Settles when its answer may be said. Rejects with FurrowError
   * `unavailable`: STEPPED_DOWN; JOURNAL_UNREACHABLE when nothing can be decided, or when the commit
   * that the answer rests on is in doubt: then it may have been taken all the same.
   */
  submit(command: Command): Promise<Answer> {
    if (this.#state === 'stopped') return Promise.reject(steppedDown());
    if (command.type === 'StreamClosed') {
      // At once, as beats are: in the queue it would come after the beats of the stream that followed.
      observeClosedStream(this.#options.liveness, command.agentId, command.session);
      return Promise.resolve({ kind: 'done' });
    }
    if (this.#standing.state !== 'ok' && !isForLater(command)) {
      return Promise.reject(journalUnreachable(this.#standing));
    }
    if (isPatient(command)) {
      return new Promise((resolve) => this.#enqueue({ command, settle: resolve }));
    }
    return this.#answer((settle) => this.#enqueue({ command, settle }));
  }

  /**
   * Takes note of a beat and answers at once, also while the journal is out of reach. What the
   * inventory means is decided afterwards. Throws FurrowError: NOT_ENROLLED, SESSION_FENCED.
   */
  beat(beat: Beat): BeatReply {
    if (this.#state === 'stopped') throw steppedDown();
    const { farm, liveness, clock } = this.#options;
    const record = farm.agents.get(beat.agentId);
    if (record === undefined) {
      throw new FurrowError(
        'failed-precondition',
        'NOT_ENROLLED',
        `agent ${beat.agentId} is not known here: enrol it again`,
      );
    }
    const nowMs = clock.monotonicMs();
    const fault = faultOfBeat(liveness, beat, nowMs);
    if (fault !== undefined) throw new FurrowError('conflict', 'SESSION_FENCED', fault);
    const agent = observeBeat(liveness, beat, nowMs);
    if (this.#standing.state === 'ok') {
      void this.submit({ type: 'ReviewAgent', agentId: beat.agentId }).catch(() => {});
    }
    return { releasedGrant: agent.releasedGrant, drain: record.draining };
  }

  /** Reads the farm. Settles when everything that was read is on disk. */
  read<T>(look: (farm: Farm, liveness: Liveness) => T): Promise<T> {
    if (this.#state === 'stopped') return Promise.reject(steppedDown());
    if (this.#standing.state !== 'ok') return Promise.reject(journalUnreachable(this.#standing));
    return this.#answer((settle, fail) => {
      this.#reads.push(() => {
        try {
          const seen = look(this.#options.farm, this.#options.liveness);
          this.#whenAllowed('decided', () => settle(seen));
        } catch (error) {
          fail(error);
        }
      });
      this.#schedule();
    });
  }

  /**
   * Calls back at the next moment at which the farm is exactly what is on disk. Nothing is decided
   * until then: an append or two.
   */
  whenQuiet(look: (farm: Farm) => void): void {
    this.#quiet.push(() => look(this.#options.farm));
    this.#schedule();
  }

  /** Settles once the journal has shown that we still lead; never when it shows otherwise. */
  proveLead(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenAllowed('fresh', resolve);
      this.#schedule();
    });
  }

  /** Decides nothing more. What is in flight may still be committed, but nothing is said of it. */
  stop(): void {
    this.#state = 'stopped';
    this.#cancelTick();
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#schedule();
  }

  /** An answer that somebody waits for, but not for longer than the journal is certain. */
  #answer<T>(
    ask: (settle: (value: T) => void, fail: (error: unknown) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#unanswered.add(reject);
      const done = (): boolean => this.#unanswered.delete(reject);
      ask(
        (value) => void (done() && resolve(value)),
        (error) => void (done() && reject(error)),
      );
    });
  }

  /** Nothing is decided for now: those who wait learn it at once, and may ask again. */
  #suspend(standing: Exclude<JournalStanding, { readonly state: 'ok' }>): void {
    this.#standing = standing;
    this.#queue = this.#queue.filter(({ command }) => isPatient(command));
    this.#reads.length = 0;
    const error = answerInDoubt(standing);
    for (const fail of this.#unanswered) fail(error);
    this.#unanswered.clear();
  }

  #now(): Now {
    const { clock } = this.#options;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#turn();
    });
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => {
      const nowMs = this.#options.clock.monotonicMs();
      const lateMs = nowMs - this.#lastTickMs - TICK_MS;
      this.#lastTickMs = nowMs;
      if (lateMs > STALL_MS) extendByStall(this.#options.liveness, lateMs);
      // Also whoever slept: another may lead by now.
      if (lateMs > STALL_MS || nowMs - this.#lastCommitMs > PROVE_LEAD_MS) this.#open.forced = true;
      if (this.#standing.state === 'ok') void this.submit({ type: 'Tick' }).catch(() => {});
      this.#scheduleTick();
    });
  }

  #turn(): void {
    if (this.#state === 'stopped' || this.#standing.state !== 'ok') return;
    if (this.#quiet.length > 0 && !this.#isQuiet()) {
      this.#seal();
      return;
    }
    for (const look of this.#quiet.splice(0)) look();
    const { maxCommitBytes } = this.#options.journal;
    while (this.#open.bytes < maxCommitBytes / 2) {
      const waiting = this.#queue.shift();
      if (waiting === undefined) break;
      this.#handle(waiting);
    }
    if (this.#open.bytes < maxCommitBytes / 2) this.#place();
    for (const read of this.#reads.splice(0)) read();
    this.#seal();
  }

  #isQuiet(): boolean {
    return this.#inFlight === undefined && this.#open.facts.length === 0;
  }

  #handle({ command, settle }: Waiting): void {
    const { farm, liveness, journal } = this.#options;
    const now = this.#now();
    if (command.type === 'GrantAnswered') observeGrantAnswer(liveness, command, now.monotonicMs);
    const decision = decide(farm, liveness, command, now);
    const bytes = decision.facts.reduce((sum, fact) => sum + journal.measure(fact), 0);
    if (bytes > journal.maxCommitBytes / 2) {
      settle(tooLarge(bytes, journal.maxCommitBytes / 2));
      return;
    }
    for (const fact of decision.facts) if (!isVoid(farm, fact)) this.#record(fact, now);
    this.#release(decision, settle);
  }

  #release(decision: Decision, settle: (answer: Answer) => void): void {
    const { effects } = this.#options;
    const isFresh = decision.barrier === 'fresh';
    if (decision.stops.length > 0) {
      this.#whenAllowed(isFresh ? 'fresh' : 'decided', () => {
        for (const order of decision.stops) effects.stop(order);
      });
    }
    const needsProof = isFresh && decision.answer.kind !== 'done';
    this.#whenAllowed(needsProof ? 'fresh' : 'decided', () => settle(decision.answer));
  }

  /** Applies a decided fact and all that follows from it. */
  #record(fact: Fact, now: Now): void {
    const { farm, liveness, journal } = this.#options;
    let next: Fact | undefined = fact;
    while (next !== undefined) {
      track(liveness, farm, next, now.monotonicMs);
      apply(farm, next);
      this.#open.facts.push(next);
      this.#open.bytes += journal.measure(next);
      if (!('job' in next)) return;
      this.#open.touchedJobs.add(next.job);
      next = followUp(farm, next.job, now.wallMs);
    }
  }

  #place(): void {
    const { farm, liveness } = this.#options;
    const now = this.#now();
    const grants = place(farm, liveness, now);
    if (grants.length === 0) return;
    for (const grant of grants) {
      const agent = liveness.agents.get(grant.agentId);
      if (agent !== undefined) agent.lastGrantNumber = grant.grantNumber;
      this.#record(grant, now);
    }
    this.#whenAllowed('decided', () => this.#sendGrants(grants));
  }

  #sendGrants(grants: readonly LeasesGranted[]): void {
    for (const order of grantOrders(this.#options.farm, grants)) this.#options.effects.grant(order);
  }

  /** Calls back once the commit that the words rest on is on disk. */
  #whenAllowed(barrier: Barrier, say: () => void): void {
    if (barrier === 'fresh') this.#open.forced = true;
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

  #seal(): void {
    if (this.#inFlight !== undefined) return;
    if (this.#open.facts.length === 0 && !this.#open.forced) return;
    const batch = this.#open;
    this.#open = newBatch();
    this.#inFlight = batch;
    void this.#append(batch);
  }

  async #append(batch: Batch): Promise<void> {
    const { farm, clock, effects } = this.#options;
    const views = [...batch.touchedJobs].flatMap((number) => {
      const job = farm.jobs.get(number);
      return job === undefined ? [] : [viewOfJob(job)];
    });
    const atMs = clock.wallMs();
    let outcome: AppendOutcome;
    try {
      outcome = await this.#appendUntilCertain(batch.facts, atMs);
    } catch (error) {
      // Whether it is stored will never be known here: no word that rests on it may be said.
      outcome = { state: 'superseded', message: messageOf(error) };
    }
    if (this.#state === 'stopped') return;
    if (outcome.state === 'superseded') {
      this.stop();
      effects.superseded(outcome.message);
      return;
    }
    if (outcome.state === 'refused') throw new Error('a refused append was not offered again');
    this.#inFlight = undefined;
    this.#standing = { state: 'ok' };
    this.#lastCommitMs = clock.monotonicMs();
    const { number, sequence } = outcome;
    effects.committed({ number, sequence, atMs, facts: batch.facts, views });
    for (const release of batch.releases) release();
    this.#schedule();
  }

  /** Appends, and offers the same facts again for as long as the store refuses. */
  async #appendUntilCertain(facts: readonly Fact[], atMs: number): ReturnType<Journal['append']> {
    const { farm, journal, clock } = this.#options;
    for (;;) {
      const sinceMs = clock.monotonicMs();
      const cancelDoubt = clock.after(DOUBT_AFTER_MS, () => {
        if (this.#standing.state === 'ok') this.#suspend({ state: 'in-doubt', sinceMs });
      });
      const outcome = await journal.append(facts, farm.epoch, atMs);
      cancelDoubt();
      if (outcome.state !== 'refused' || this.#state === 'stopped') return outcome;
      this.#suspend({ state: 'refusing', message: outcome.message });
      await new Promise<void>((resolve) => clock.after(RETRY_REFUSED_MS, resolve));
    }
  }
}

function newBatch(): Batch {
  return { facts: [], releases: [], touchedJobs: new Set(), bytes: 0, forced: false };
}

/** Commands that may wait in the queue until the journal is back; nobody sits in front of them. */
function isForLater(command: Command): boolean {
  return command.type === 'GrantAnswered';
}

/**
 * Those whose answers may come late: for an agent's results a late one beats asking again, and the rest
 * have nobody who waits.
 */
function isPatient(command: Command): boolean {
  return isForLater(command) || command.type === 'ReportResults';
}

function tooLarge(bytes: number, most: number): Answer {
  return {
    kind: 'refused',
    code: 'invalid',
    reason: 'JOB_TOO_LARGE',
    message: `the request takes ${bytes} bytes in the journal; the most is ${most}: split it`,
  };
}

function steppedDown(): FurrowError {
  return new FurrowError(
    'unavailable',
    'STEPPED_DOWN',
    'this coordinator no longer leads the farm',
  );
}

function journalUnreachable(standing: JournalStanding): FurrowError {
  return new FurrowError(
    'unavailable',
    'JOURNAL_UNREACHABLE',
    `the journal cannot be written (${whyUnreachable(standing)}): try again in a while`,
  );
}

function answerInDoubt(standing: JournalStanding): FurrowError {
  return new FurrowError(
    'unavailable',
    'JOURNAL_UNREACHABLE',
    `the journal cannot be written (${whyUnreachable(standing)}), and this may be taken yet: ask the same again in a while`,
  );
}

function whyUnreachable(standing: JournalStanding): string {
  return standing.state === 'refusing' ? standing.message : 'NATS does not answer';
}
