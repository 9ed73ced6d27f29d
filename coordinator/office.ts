/**
 * Whether this coordinator leads or stands by, and what each means for those who ask: a leader decides
 * by its command loop; a standby answers reads from its own fold of the journal, which is never ahead
 * of the disk, and sends everybody else to the leader.
 */
import { LEADER_DETAIL, LEADER_URL_DETAIL, NOT_LEADER } from '../kit/coordinator-route.ts';
import { type ErrorDetails, FurrowError } from '../kit/furrow-error.ts';
import type { BeatReply, CommandLoop } from './command-loop.ts';
import type { Answer, Command } from './domain/commands.ts';
import type { Farm, Job } from './domain/farm.ts';
import type { Beat } from './domain/beats.ts';
import type { Liveness } from './domain/liveness.ts';
import { placeOf, type Sighting } from './domain/lineage.ts';
import type { LeaderAddress } from './journal/election.ts';
import type { Follower } from './journal/follower.ts';
import { journalUnreachable, type JournalStanding } from './journal-standing.ts';

export type Duty =
  | {
      readonly state: 'standby';
      /** Undefined while nobody is known to lead. */
      readonly leader: LeaderAddress | undefined;
      /** Commits that are in the journal and not in what is shown. */
      readonly lagCommits: number;
    }
  | { readonly state: 'leading' };

/** How long a read may wait for what the journal holds already. */
const REACH_PATIENCE_MS = 5_000;
/** A standby looks at the journal's end once a second: younger than this is as new as it gets. */
const FRESH_MS = 2_500;
/** Elections of nats-servers, and appends that are merely slow, are over by then. */
const LASTING_MS = 5_000;

export interface OfficeOptions {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly follower: Follower;
  readonly monotonicMs: () => number;
  /** Sequence of the last commit that is known to be on disk. */
  readonly lastSequence: () => number;
  /** Somebody has seen what the journal of this farm, to its end, does not hold. */
  readonly missing: (seen: Sighting, seenBy: string) => void;
}

export class Office {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly #options: OfficeOptions;
  readonly #follower: Follower;
  readonly #monotonicMs: () => number;
  #leader: LeaderAddress | undefined;
  #loop: CommandLoop | undefined;

  constructor(options: OfficeOptions) {
    this.farm = options.farm;
    this.liveness = options.liveness;
    this.#options = options;
    this.#follower = options.follower;
    this.#monotonicMs = options.monotonicMs;
  }

  get duty(): Duty {
    if (this.#loop !== undefined) return { state: 'leading' };
    const { lagCommits } = this.#follower;
    return { state: 'standby', leader: this.#leader, lagCommits };
  }

  /** Of a leader; a standby writes nothing that could be in doubt. */
  get standing(): JournalStanding {
    return this.#loop?.standing ?? { state: 'ok' };
  }

  /** One line when the farm that this one leads stands still. */
  get stallWarning(): string | undefined {
    return this.#loop?.stallWarning;
  }

  /** What is shown may be so old, in milliseconds; 0 while it is as new as it can be. */
  get ageMs(): number {
    if (this.#loop === undefined) {
      const { ageMs } = this.#follower;
      return ageMs < FRESH_MS ? 0 : Math.round(ageMs);
    }
    const { standing } = this.#loop;
    return standing.state === 'ok' ? 0 : Math.round(this.#monotonicMs() - standing.sinceMs);
  }

  /** Why nothing new can be told from here, once that has lasted for a while. FurrowError: unavailable. */
  get trouble(): FurrowError | undefined {
    const { ageMs, standing } = this;
    if (ageMs < LASTING_MS) return undefined;
    if (standing.state !== 'ok') return journalUnreachable(standing);
    const seconds = Math.round(ageMs / 1000);
    const message = `this coordinator stands by and cannot read the journal for ${seconds} s now: try again in a while`;
    return new FurrowError('unavailable', 'BEHIND', message);
  }

  /** Somebody else leads, or nobody does. */
  standBy(leader: LeaderAddress | undefined): void {
    this.#leader = leader;
  }

  lead(loop: CommandLoop): void {
    this.#loop = loop;
  }

  /** As CommandLoop.submit. FurrowError: unavailable NOT_LEADER. */
  async submit(command: Command): Promise<Answer> {
    return this.#leading().submit(command);
  }

  /** As CommandLoop.beat. Throws FurrowError: unavailable NOT_LEADER. */
  beat(beat: Beat): BeatReply {
    return this.#leading().beat(beat);
  }

  /** The journal's end, for those who shall remember it. */
  get place(): Sighting {
    const { epoch, reigns } = this.farm;
    const sequence = this.#options.lastSequence();
    return { epoch, reignId: reigns.at(-1)?.id ?? '', sequence };
  }

  /**
   * Somebody tells what he has seen of this farm. What is not known here is looked for in the journal,
   * by a commit: either another leads and wrote it, and this coordinator ends; or it is missing in the
   * store, and this coordinator ends too. FurrowError: unavailable NOT_LEADER, STORE_RESTORED.
   */
  async hear(seen: Sighting | undefined, seenBy: string): Promise<void> {
    const loop = this.#leading();
    if (seen === undefined || this.#holds(seen)) return;
    await loop.proveLead();
    if (this.#holds(seen)) return;
    this.#options.missing(seen, seenBy);
    const message = `the farm's NATS store lacks what ${seenBy} has seen: this coordinator stops, its log says what to do`;
    throw new FurrowError('unavailable', 'STORE_RESTORED', message);
  }

  #holds(seen: Sighting): boolean {
    return placeOf(this.farm, this.#options.lastSequence(), seen) !== 'absent';
  }

  /**
   * Reads a job. One that is on disk as it is can be read at once, also while the journal is in doubt;
   * else this settles when what was read is on disk. Undefined: it is not in the memory.
   * FurrowError: unavailable JOURNAL_UNREACHABLE, STEPPED_DOWN.
   */
  async readJob<T>(number: number, look: (farm: Farm, job: Job) => T): Promise<T | undefined> {
    const see = (farm: Farm): T | undefined => {
      const job = farm.jobs.get(number);
      return job && look(farm, job);
    };
    // One that leaves the memory is gone only when that is on disk.
    const isSure = this.#loop === undefined || this.#loop.isOnDisk(number);
    return (isSure ? see(this.farm) : undefined) ?? this.read(see);
  }

  /** Reads the farm; settles when what was read is on disk. FurrowError: as `readJob`. */
  async read<T>(look: (farm: Farm) => T): Promise<T> {
    return this.#loop === undefined ? look(this.farm) : this.#loop.read(look);
  }

  /**
   * Settles once what is shown holds all that the journal holds now: for whoever asks for something that
   * is not known here. A standby reads on; a leader shows that it still is one, for its successor may know
   * more. FurrowError: unavailable BEHIND, JOURNAL_UNREACHABLE, STEPPED_DOWN.
   */
  async reachEnd(): Promise<void> {
    if (this.#loop === undefined) await this.#follower.reachEnd(REACH_PATIENCE_MS);
    else await this.#loop.confirmLead();
  }

  /** Throws FurrowError unavailable NOT_LEADER when this one stands by. */
  mustLead(): void {
    this.#leading();
  }

  #leading(): CommandLoop {
    if (this.#loop !== undefined) return this.#loop;
    const leader = this.#leader;
    const remedy =
      leader === undefined ? 'nobody leads yet, try again in a while' : `ask ${leader.grpc}`;
    const details: ErrorDetails =
      leader === undefined
        ? {}
        : { [LEADER_DETAIL]: leader.grpc, [LEADER_URL_DETAIL]: leader.http };
    const message = `this coordinator stands by and decides nothing: ${remedy}`;
    throw new FurrowError('unavailable', NOT_LEADER, message, { details });
  }
}
