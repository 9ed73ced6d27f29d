/**
 * Which of a farm's coordinators to ask: whoever asks says when the one that was asked did not serve,
 * and learns where to turn. The network is none of its business.
 */
import { FurrowError, TOO_MANY_REQUESTS } from './furrow-error.ts';

/** Reason of the refusal of a coordinator that stands by; its details may name the leader's address. */
export const NOT_LEADER = 'NOT_LEADER';
/** Key of the details of NOT_LEADER: HOST:PORT. */
export const LEADER_DETAIL = 'leader';
/** Another: base address of the leader's HTTP server. */
export const LEADER_URL_DETAIL = 'leader-url';

/**
 * Whether the same call is worth another try.
 * - `now`: at another coordinator, which was not asked yet.
 * - `soon`: after a pause: a standby lives, and leads before long if nobody else does; or it was asked too much.
 * - `no`: the error is the answer, or nobody is there.
 */
export type NextTry = 'now' | 'soon' | 'no';

/** HOST:PORT, as a coordinator says where another is: of what is none no channel can be made. */
function isAddress(text: string): boolean {
  const port = Number(/^(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})$/.exec(text)?.[1]);
  return port >= 1 && port <= 65_535;
}

export class CoordinatorRoute {
  readonly #addresses: readonly string[];
  #current: string;
  /** Asked since one of them served, or since the last pause. */
  readonly #asked = new Set<string>();
  #standbyLives = false;

  /** `farm`: HOST:PORT of each coordinator, with commas between, the one to ask first in front. */
  constructor(farm: string) {
    this.#addresses = farm.split(',');
    this.#current = this.#addresses[0] ?? farm;
  }

  /** Where the next call goes. */
  get address(): string {
    return this.#current;
  }

  get hasSeveral(): boolean {
    return this.#addresses.length > 1;
  }

  /** A call has been answered, by the coordinator at this address. */
  served(address: string): void {
    if (address !== this.#current) return;
    this.#asked.clear();
    this.#standbyLives = false;
  }

  /** A call to this address failed: turns to where the next one should go. */
  failed(error: unknown, address: string): NextTry {
    if (!(error instanceof FurrowError) || !error.retryable) return 'no';
    // Another coordinator would only be asked too much as well.
    if (error.reason === TOO_MANY_REQUESTS) return 'soon';
    // Another call has turned away from there before.
    if (address !== this.#current) return 'now';
    this.#asked.add(this.#current);
    if (error.reason === NOT_LEADER) {
      this.#standbyLives = true;
      const leader = error.details[LEADER_DETAIL];
      if (leader !== undefined && isAddress(leader) && !this.#asked.has(leader)) {
        this.#current = leader;
        return 'now';
      }
    }
    const next = this.#nextListed();
    if (next !== undefined) {
      this.#current = next;
      return 'now';
    }
    // All were asked: the next round begins with the first listed one that is not this.
    this.#asked.clear();
    this.#current = this.#addresses.find((address) => address !== this.#current) ?? this.#current;
    const isWorthAPause = this.#standbyLives;
    this.#standbyLives = false;
    return isWorthAPause ? 'soon' : 'no';
  }

  #nextListed(): string | undefined {
    const at = this.#addresses.indexOf(this.#current);
    const order = [...this.#addresses.slice(at + 1), ...this.#addresses.slice(0, at + 1)];
    return order.find((address) => !this.#asked.has(address));
  }
}
