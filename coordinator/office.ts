/**
 * Whether this coordinator leads or stands by, and what each means for those who ask: a leader decides
 * by its command loop; a standby answers reads from its own fold of the journal, which is never ahead
 * of the disk, and sends everybody else to the leader.
 */
import { LEADER_DETAIL, NOT_LEADER } from '../kit/coordinator-channel.ts';
import { type ErrorDetails, FurrowError } from '../kit/furrow-error.ts';
import type { BeatReply, CommandLoop, JournalStanding } from './command-loop.ts';
import type { Answer, Command } from './domain/commands.ts';
import type { Farm } from './domain/farm.ts';
import type { Beat, Liveness } from './domain/liveness.ts';
import type { LeaderAddress } from './journal/election.ts';
import type { Follower } from './journal/follower.ts';

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

export class Office {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly #follower: Follower;
  readonly #monotonicMs: () => number;
  #leader: LeaderAddress | undefined;
  #loop: CommandLoop | undefined;

  constructor(farm: Farm, liveness: Liveness, follower: Follower, monotonicMs: () => number) {
    this.farm = farm;
    this.liveness = liveness;
    this.#follower = follower;
    this.#monotonicMs = monotonicMs;
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

  /** What is shown may be so old, in milliseconds; 0 while it is as new as it can be. */
  get ageMs(): number {
    if (this.#loop === undefined) {
      const { ageMs } = this.#follower;
      return ageMs < FRESH_MS ? 0 : Math.round(ageMs);
    }
    const { standing } = this.#loop;
    return standing.state === 'in-doubt' ? Math.round(this.#monotonicMs() - standing.sinceMs) : 0;
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

  /** Reads the farm. Settles when everything that was read is on disk. */
  async read<T>(look: (farm: Farm, liveness: Liveness) => T): Promise<T> {
    return this.#loop === undefined ? look(this.farm, this.liveness) : this.#loop.read(look);
  }

  /**
   * Settles once what is shown holds all that the journal holds now: for whoever asks for something that
   * a standby does not know yet. FurrowError: unavailable BEHIND.
   */
  async reachEnd(): Promise<void> {
    if (this.#loop === undefined) await this.#follower.reachEnd(REACH_PATIENCE_MS);
  }

  /** Throws FurrowError unavailable NOT_LEADER when this one stands by. */
  mustLead(): void {
    this.#leading();
  }

  #leading(): CommandLoop {
    if (this.#loop !== undefined) return this.#loop;
    const leader = this.#leader?.grpc;
    const remedy =
      leader === undefined ? 'nobody leads yet, try again in a while' : `ask ${leader}`;
    const details: ErrorDetails = leader === undefined ? {} : { [LEADER_DETAIL]: leader };
    const message = `this coordinator stands by and decides nothing: ${remedy}`;
    throw new FurrowError('unavailable', NOT_LEADER, message, { details });
  }
}
