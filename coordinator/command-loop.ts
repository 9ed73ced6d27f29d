/**
 * The single writer. Commands are decided one after another; their facts are applied at once and go into the
 * next commit (`commit-flow.ts`).
 *
 * Always holds: nothing is said outward before the commit that it rests on; the farm is the fold of
 * all commits and of the one that gathers.
 */
import { FurrowError } from '../kit/furrow-error.ts';
import type { Clock } from '../kit/clock.ts';
import { CommitFlow } from './commit-flow.ts';
import { Decisions } from './decisions.ts';
import type { Answer, Command } from './domain/commands.ts';
import type { Now } from './domain/decision.ts';
import type { Farm } from './domain/farm.ts';
import { type Beat, faultOfBeat, observeBeat, observeClosedStream } from './domain/beats.ts';
import { type AgentLiveness, isOnline, type Liveness } from './domain/liveness.ts';
import { extendByStall } from './domain/takeover-grace.ts';
import { PlacementScope } from './domain/placement-scope.ts';
import { stallWarning } from './domain/stall-watch.ts';
import {
  answerInDoubt,
  journalUnreachable,
  type JournalStanding,
  steppedDown,
} from './journal-standing.ts';
import type { Effects, Journal } from './ports.ts';

export interface CommandLoopOptions {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly effects: Effects;
  /** Time between looks at what expired. */
  readonly tickMs?: number;
}

/** What a beat is answered with at once: all leases it listed are renewed. */
export interface BeatReply {
  readonly releasedGrant: number;
  readonly drain: boolean;
  /** The agent is to prove anew what it can do; said once. */
  readonly probeAgain: boolean;
}

interface Waiting {
  readonly command: Command;
  readonly settle: (answer: Answer) => void;
}

const TICK_MS = 250;
/** A tick this late means that our own process stood still. */
const STALL_MS = 1_000;
/** A tick that is so late is worth a word to whoever asks how the farm is. */
const TICK_OVERDUE_MS = 5_000;
/** A leader with nothing to write must still find out that another took over. */
const PROVE_LEAD_MS = 30_000;

export class CommandLoop {
  readonly #options: CommandLoopOptions;
  #queue: Waiting[] = [];
  readonly #scope = new PlacementScope();
  readonly #reads: (() => void)[] = [];
  readonly #quiet: (() => void)[] = [];
  /** Those who asked and have no answer yet: told when the journal is out of reach. */
  readonly #unanswered = new Set<(error: FurrowError) => void>();
  readonly #commits: CommitFlow;
  readonly #decisions: Decisions;
  #isScheduled = false;
  #state: 'running' | 'stopped' = 'running';
  #lastTickMs: number;
  #cancelTick: () => void = () => {};

  constructor(options: CommandLoopOptions) {
    this.#options = options;
    this.#lastTickMs = options.clock.monotonicMs();
    const { farm, liveness, journal, clock, effects } = options;
    this.#commits = new CommitFlow({
      farm,
      journal,
      clock,
      effects,
      suspended: (standing) => this.#suspend(standing),
      stored: () => this.#schedule(),
      superseded: (message) => {
        this.stop();
        effects.superseded(message);
      },
    });
    const [commits, scope] = [this.#commits, this.#scope];
    const now = (): Now => this.#now();
    this.#decisions = new Decisions({ farm, liveness, journal, effects, commits, scope, now });
    this.#scheduleTick();
  }

  get standing(): JournalStanding {
    return this.#commits.standing;
  }

  /** One line when the farm stands still, and since when; undefined while it goes on. */
  get stallWarning(): string | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const lateMs = nowMs - this.#lastTickMs - TICK_MS;
    // Who ticks no more cannot see anything else.
    if (lateMs > TICK_OVERDUE_MS) {
      return `the coordinator has not looked at its farm for ${Math.round(lateMs / 1000)} s: it is overloaded, or stuck`;
    }
    const { stall } = this.#decisions;
    return stall && this.standing.state === 'ok' ? stallWarning(stall, nowMs) : undefined;
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
    if (this.standing.state !== 'ok' && !isForLater(command)) {
      return Promise.reject(journalUnreachable(this.standing));
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
    const before = liveness.agents.get(beat.agentId);
    const wasIdle =
      before !== undefined &&
      isOnline(liveness, before, nowMs) &&
      isIdle(before, record.leases.size);
    const agent = observeBeat(liveness, beat, nowMs);
    const isNew = before !== agent || beat.capacity !== undefined;
    // An idle agent that goes on being one has nothing to review and nothing new to offer.
    if (isNew || !wasIdle || beat.inventory.length > 0) {
      this.#scope.markAgent(beat.agentId);
      if (this.standing.state === 'ok') {
        void this.submit({ type: 'ReviewAgent', agentId: beat.agentId }).catch(() => {});
      }
    }
    const { releasedGrant, trust } = agent;
    const probeAgain = trust.owesProbe;
    trust.owesProbe = false;
    return { releasedGrant, drain: record.draining, probeAgain };
  }

  /** Reads the farm. Settles when everything that was read is on disk. */
  read<T>(look: (farm: Farm, liveness: Liveness) => T): Promise<T> {
    if (this.#state === 'stopped') return Promise.reject(steppedDown());
    if (this.standing.state !== 'ok') return Promise.reject(journalUnreachable(this.standing));
    return this.#answer((settle, fail) => {
      this.#reads.push(() => {
        try {
          const seen = look(this.#options.farm, this.#options.liveness);
          this.#commits.whenAllowed('decided', () => settle(seen));
        } catch (error) {
          fail(error);
        }
      });
      this.#schedule();
    });
  }

  /** Whether the farm's job is what the last commit made of it: nothing newer could still be lost. */
  isOnDisk(job: number): boolean {
    return this.#commits.isOnDisk(job);
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
      this.#commits.whenAllowed('fresh', resolve);
      this.#schedule();
    });
  }

  /**
   * As proveLead, for one who asks for what is not known here: only whoever still leads may say that it is
   * nowhere. Rejects with FurrowError `unavailable`: STEPPED_DOWN, JOURNAL_UNREACHABLE.
   */
  confirmLead(): Promise<void> {
    if (this.#state === 'stopped') return Promise.reject(steppedDown());
    if (this.standing.state !== 'ok') return Promise.reject(journalUnreachable(this.standing));
    return this.#answer((settle) => {
      this.#commits.whenAllowed('fresh', () => settle());
      this.#schedule();
    });
  }

  /** Decides nothing more. What is in flight may still be committed, but nothing is said of it. */
  stop(): void {
    this.#state = 'stopped';
    this.#commits.stop();
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
  #suspend(standing: JournalStanding): void {
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
    const { clock, tickMs = TICK_MS } = this.#options;
    this.#cancelTick = clock.after(tickMs, () => {
      const nowMs = clock.monotonicMs();
      const lateMs = nowMs - this.#lastTickMs - tickMs;
      this.#lastTickMs = nowMs;
      if (lateMs > STALL_MS) {
        extendByStall(this.#options.liveness, lateMs);
        this.#scope.markAll();
      }
      // Also whoever slept: another may lead by now.
      if (lateMs > STALL_MS || nowMs - this.#commits.lastCommitMs > PROVE_LEAD_MS)
        this.#commits.force();
      if (this.standing.state === 'ok') void this.submit({ type: 'Tick' }).catch(() => {});
      this.#scheduleTick();
    });
  }

  #turn(): void {
    if (this.#state === 'stopped' || this.standing.state !== 'ok') return;
    if (this.#quiet.length > 0 && !this.#commits.isQuiet) {
      this.#commits.seal();
      return;
    }
    for (const look of this.#quiet.splice(0)) look();
    while (this.#commits.hasRoom) {
      const waiting = this.#queue.shift();
      if (waiting === undefined) break;
      this.#decisions.take(waiting.command, waiting.settle);
    }
    if (this.#commits.hasRoom) this.#decisions.place();
    for (const read of this.#reads.splice(0)) read();
    this.#commits.seal();
  }
}

/** Holds nothing, and is open for grants as far as its last beat says. */
function isIdle(
  { inventory, ghosts, workPlaneUp, leaving }: AgentLiveness,
  leases: number,
): boolean {
  return leases + inventory.size + ghosts.size === 0 && workPlaneUp && !leaving;
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
