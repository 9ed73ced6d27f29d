/**
 * One run of the coordinator's program in a simulated year: the farm is loaded from snapshot and journal,
 * then the real command loop leads it, with the real snapshots and archive behind it.
 */
import { Archiver } from '../../../coordinator/archiver.ts';
import { type BeatReply, CommandLoop } from '../../../coordinator/command-loop.ts';
import { apply } from '../../../coordinator/domain/apply.ts';
import type { GrantOrder } from '../../../coordinator/domain/assignment.ts';
import type { Answer, Command, GrantAnswered } from '../../../coordinator/domain/commands.ts';
import { NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import type { StopOrder } from '../../../coordinator/domain/decision.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import type { Farm } from '../../../coordinator/domain/farm.ts';
import { farmImage } from '../../../coordinator/domain/farm-image.ts';
import type { Beat } from '../../../coordinator/domain/beats.ts';
import { type Liveness, newLiveness } from '../../../coordinator/domain/liveness.ts';
import {
  beginTakeoverGrace,
  MIN_TAKEOVER_GRACE_MS,
} from '../../../coordinator/domain/takeover-grace.ts';
import type { Demand } from '../../../coordinator/domain/task.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import { loadFarm } from '../../../coordinator/journal/load-farm.ts';
import { Snapshots } from '../../../coordinator/snapshots.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { Logger } from '../../../kit/log.ts';
import type { Prng } from '../prng.ts';
import { SimProcess } from '../sim-process.ts';
import type { Timeline } from '../timeline.ts';
import { type YearArchive, YearJournal, YearSnapshots, type YearStore } from './year-store.ts';

/** A hundred times the usual: a year of real heartbeats would be two thousand million of them. */
const LEASE_TTL_MS = 24 * 60_000;
/** A year has a hundred and twenty million ticks of the usual length. */
const TICK_MS = 3 * 60_000;
const SNAPSHOT_COMMITS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const RETENTION = { jobMs: DAY_MS, mostEnded: 1_000 };
const ARCHIVE_LOOK_MS = 60 * 60 * 1000;

export interface YearCoordinatorOptions {
  readonly timeline: Timeline;
  readonly store: YearStore;
  readonly archive: YearArchive;
  readonly prng: Prng;
  readonly log: Logger;
  /** Asks an agent to take a grant; `demandOf` tells what a lease books. */
  readonly grant: (
    order: GrantOrder,
    demandOf: (token: Token) => Demand,
  ) => GrantAnswered['answer'];
  readonly stop: (order: StopOrder) => void;
  /** The coordinator noticed that the farm stands still, or did something about it. */
  readonly stoodStill: () => void;
  /** Facts are on disk. */
  readonly stored: (facts: readonly Fact[]) => void;
  readonly fail: (error: unknown) => void;
}

/** What the loop leads. */
interface Reign {
  readonly loop: CommandLoop;
  readonly farm: Farm;
  readonly liveness: Liveness;
}

export class YearCoordinator {
  readonly #options: YearCoordinatorOptions;
  readonly #process: SimProcess;
  readonly #journal: YearJournal;
  #reign: Reign | undefined;

  constructor(options: YearCoordinatorOptions) {
    this.#options = options;
    this.#process = new SimProcess(options.timeline, 'coordinator', { rate: 1, wallOffsetMs: 0 });
    this.#journal = new YearJournal({ ...options, clock: this.#process.clock });
  }

  /** Undefined while it is loading, and once it has ended. */
  get reign(): Reign | undefined {
    return this.#process.isAlive ? this.#reign : undefined;
  }

  get now(): { readonly monotonicMs: number; readonly wallMs: number } {
    const { clock } = this.#process;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  /** Image of all that is committed; undefined while something is under way. */
  image(): string | undefined {
    return this.#reign === undefined || this.#journal.isOwing
      ? undefined
      : farmImage(this.#reign.farm);
  }

  /** Loads and leads. `before`: what the run before had committed, if that is known. */
  async start(before: string | undefined): Promise<void> {
    const { store, log, fail } = this.#options;
    const snapshots = new YearSnapshots(store);
    const loaded = await loadFarm(this.#journal, snapshots, log);
    const { farm } = loaded;
    if (before !== undefined && farmImage(farm) !== before) {
      fail(new Error('the farm read from snapshot and journal is not the one that was committed'));
    }
    const election = await this.#journal.startEpoch();
    if (election.state !== 'leading') throw new Error(election.message);
    for (const fact of election.commit.facts) apply(farm, fact);
    if (this.#process.isAlive) this.#lead(farm, snapshots, loaded.commits);
  }

  #lead(farm: Farm, store: YearSnapshots, commitsSince: number): void {
    const { archive, log, stop } = this.#options;
    const { clock } = this.#process;
    const liveness = newLiveness(LEASE_TTL_MS);
    const journal = this.#journal;
    const loop = new CommandLoop({
      farm,
      liveness,
      journal,
      clock,
      tickMs: TICK_MS,
      effects: {
        grant: (order) => this.#grant(order),
        stop,
        // None waits: a unit takes minutes, and boxes say that they queue nothing.
        retract: () => {},
        stalled: () => this.#options.stoodStill(),
        committed: (commit) => {
          snapshots.committed();
          archiver.committed(commit);
        },
        superseded: (message) => this.#options.fail(new Error(message)),
      },
    });
    const everyCommits = SNAPSHOT_COMMITS;
    const snapshots = new Snapshots(
      { farm, loop, journal, store, log, everyCommits },
      commitsSince,
    );
    const archiver = new Archiver({
      loop,
      store: archive,
      clock,
      log,
      retention: RETENTION,
      lookMs: ARCHIVE_LOOK_MS,
    });
    beginTakeoverGrace(liveness, farm, clock.monotonicMs(), MIN_TAKEOVER_GRACE_MS);
    archiver.start();
    this.#process.atExit(() => {
      loop.stop();
      archiver.stop();
      journal.close();
    });
    this.#reign = { loop, farm, liveness };
  }

  /** kill -9. */
  kill(): void {
    this.#process.kill();
  }

  /** FurrowError: unavailable while it loads; as CommandLoop.beat. */
  beat(beat: Beat): BeatReply {
    return this.#leading().loop.beat(beat);
  }

  /** Undefined when it was not decided, or when that is not known. */
  async ask(command: Command): Promise<Answer | undefined> {
    try {
      return await this.#leading().loop.submit(command);
    } catch (error) {
      if (!(error instanceof FurrowError)) this.#options.fail(error);
      return undefined;
    }
  }

  #leading(): Reign {
    const { reign } = this;
    if (reign !== undefined) return reign;
    throw new FurrowError('unavailable', 'FARM_UNREACHABLE', 'simulated: it is loading');
  }

  #grant(order: GrantOrder): void {
    const leases = this.#leading().farm.leases;
    const answer = this.#options.grant(
      order,
      (token) => leases.get(token)?.slot.demand ?? NO_DEMAND,
    );
    const { agentId, session, number: grantNumber } = order;
    void this.ask({ type: 'GrantAnswered', agentId, session, grantNumber, answer });
  }
}
