/**
 * Whose turn it might be to lead: a key that the leader keeps fresh. Advice only. It spares two
 * coordinators from deposing each other; that there is one leader is decided by the journal.
 */
import { hostname } from 'node:os';
import { z } from 'zod';
import type { Clock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { isRunning, processSpace, processStart } from '../../kit/process-identity.ts';

/** Where the key is kept. Each of these rejects when it is out of reach. */
export interface KeyStore {
  /** Undefined when nobody holds the key; its revision counts on, and is 0 when nothing is known. */
  read(): Promise<{ readonly note: string | undefined; readonly revision: number }>;
  /** Answers the new revision; undefined when the last one is another than `revision`. */
  write(note: string, revision: number): Promise<number | undefined>;
  /** Leaves a key of another revision alone. */
  remove(revision: number): Promise<void>;
}

export interface LeaderKeyOptions {
  readonly store: KeyStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Who this coordinator is, and where others reach it. */
  readonly own: Leader;
  /** Whether that one, seen from here, is sure to have ended. */
  readonly isOver: (leader: Leader) => boolean;
}

export interface LeaderAddress {
  /** HOST:PORT. */
  readonly grpc: string;
  /** Base address of its blobs. */
  readonly http: string;
}

export type Turn =
  /** Nobody else leads, as far as can be seen. */
  | { readonly state: 'ours' }
  | { readonly state: 'taken'; readonly leader: Leader }
  | { readonly state: 'unknown' };

const REFRESH_MS = 1_000;
/** Between two tries of a standby. */
export const POLL_MS = 500;
/**
 * A leader that did not refresh over so many looks is gone. Looks are counted, not seconds: a standby
 * that slept has not been looking.
 */
const SILENT_LOOKS = 8;
/** Without the key for so many looks, the journal alone decides. */
const BLIND_LOOKS = 30;

const leaderSchema = z.object({
  host: z.string(),
  space: z.string(),
  pid: z.int(),
  processStart: z.string(),
  grpc: z.string(),
  http: z.string(),
});
export type Leader = Readonly<z.infer<typeof leaderSchema>>;

/** This process, as the key's holder. */
export function thisCoordinator(address: LeaderAddress): Leader {
  return {
    host: hostname(),
    space: processSpace(),
    pid: process.pid,
    processStart: processStart(process.pid) ?? '',
    ...address,
  };
}

/** One that ran on this machine and runs no more, or was this very process. */
export function isOverHere(leader: Leader): boolean {
  if (leader.space !== processSpace()) return false;
  return leader.pid === process.pid || !isRunning(leader.pid, leader.processStart);
}

/** The key as one coordinator sees and holds it. */
export class LeaderKey {
  readonly #options: LeaderKeyOptions;
  /** Of the key as it was last seen or written; 0 when there was none. */
  #revision = 0;
  #sameLooks = 0;
  #blindLooks = 0;
  #isHeld = false;
  #cancelTimer: () => void = () => {};

  constructor(options: LeaderKeyOptions) {
    this.#options = options;
  }

  /**
   * Takes the turn if no other coordinator keeps the key fresh; to be asked every `POLL_MS`. A
   * predecessor on this machine that no longer runs is not waited for.
   */
  async tryTurn(): Promise<Turn> {
    const turn = await this.#look();
    if (turn.state !== 'ours') return turn;
    return (await this.#claim()) ? turn : { state: 'unknown' };
  }

  /**
   * Keeps the key fresh from now on. `proveLead` is asked when another took it: it settles once the
   * journal has shown that we still lead, and then the key is taken back.
   */
  hold(proveLead: () => Promise<void>): void {
    this.#isHeld = true;
    const refresh = async (): Promise<void> => {
      if (!(await this.#claim())) {
        await proveLead();
        await this.#look();
      }
      if (this.#isHeld) this.#cancelTimer = this.#options.clock.after(REFRESH_MS, tick);
    };
    const tick = (): void => void refresh();
    tick();
  }

  /** Lets a standby go on at once. A key that another has taken stays. */
  async release(): Promise<void> {
    this.#isHeld = false;
    this.#cancelTimer();
    try {
      await this.#options.store.remove(this.#revision);
    } catch (error) {
      this.#options.log.debug({ error: messageOf(error) }, 'cannot delete the leader key');
    }
  }

  async #look(): Promise<Turn> {
    const { store, isOver } = this.#options;
    try {
      const { note, revision } = await store.read();
      this.#blindLooks = 0;
      this.#sameLooks = revision === this.#revision ? this.#sameLooks + 1 : 0;
      this.#revision = revision;
      if (note === undefined) return { state: 'ours' };
      const leader = readLeader(note);
      if (this.#sameLooks >= SILENT_LOOKS) return { state: 'ours' };
      if (leader === undefined) return { state: 'unknown' };
      return isOver(leader) ? { state: 'ours' } : { state: 'taken', leader };
    } catch (error) {
      this.#options.log.debug({ error: messageOf(error) }, 'cannot read the leader key');
      this.#blindLooks += 1;
      return { state: this.#blindLooks >= BLIND_LOOKS ? 'ours' : 'unknown' };
    }
  }

  /** False when another wrote the key since it was last seen. A key out of reach hinders nobody. */
  async #claim(): Promise<boolean> {
    const { store, own } = this.#options;
    try {
      const revision = await store.write(JSON.stringify(own), this.#revision);
      // Of another revision, or none: the key lives in memory and is gone when NATS was restarted.
      if (revision === undefined) return await this.#claimLost();
      this.#revision = revision;
      return true;
    } catch (error) {
      this.#options.log.debug({ error: messageOf(error) }, 'cannot write the leader key');
      return this.#isHeld || this.#blindLooks >= BLIND_LOOKS;
    }
  }

  /** Whether the key is gone rather than another's. It is written at the next try. */
  async #claimLost(): Promise<boolean> {
    if (!this.#isHeld) return false;
    const turn = await this.#look();
    return turn.state !== 'taken';
  }
}

function readLeader(text: string): Leader | undefined {
  try {
    return leaderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
