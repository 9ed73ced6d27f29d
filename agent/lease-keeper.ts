/**
 * What this agent holds, and what it may do with it. No I/O, no clock: time comes as an argument, so
 * that the simulator drives this very code.
 *
 * What always holds:
 * - The inventory lists everything that exists on this machine: waiting, running, being ended, and
 *   finished without a verdict. A lease leaves it only when nothing of it is left to run or to tell.
 * - A grant number is handled at most once; its repeat gets the same answer. A number that was released,
 *   or that is lower than one handled, is refused: the coordinator may have freed what it stood for.
 * - Nothing starts unless an answered beat was sent less than a TTL ago.
 * - Of the leases of one demand and the same GPUs no more run at once than the coordinator has booked; the
 *   others wait for their turn.
 * - Nothing that runs is ended but by order of the coordinator or of the agent's owner, or because its GPU
 *   is not to be used any more.
 */
import {
  LeaseState,
  type AdvertiseResponse,
  type LeaseEntry,
  type Token,
} from '../proto/gen/furrow/v1/agent_service.ts';
import type { Demand } from '../proto/gen/furrow/v1/step.ts';
import type { Grant, GrantReply } from '../proto/gen/furrow/work/v1/work.ts';
import { assignmentsOf, leasesIn, type Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';
import { Turns } from './turns.ts';

/**
 * One moment by both clocks. The monotonic one may stand still while the machine sleeps and the wall
 * clock may be set back: what passed between two moments is the larger of the two differences.
 */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/**
 * Whether a unit with this demand may run beside those that have the others, on this machine as it is
 * now. Answers null, or one line with the figures.
 */
export type Fits = (
  demand: Demand,
  beside: readonly Demand[],
  gpuIds: readonly string[],
) => string | null;

type Held =
  | { readonly state: 'waiting'; readonly assignment: Assignment }
  | { readonly state: 'running'; readonly assignment: Assignment; readonly progress: number }
  /** `forget`: the coordinator wants to hear nothing of it; else a result is still to be written. */
  | {
      readonly state: 'ending';
      readonly assignment: Assignment;
      readonly progress: number;
      readonly forget: boolean;
      /** Its turn is over only when it is gone; of one that never began, it never came. */
      readonly began: boolean;
    }
  | { readonly state: 'finished'; readonly token: Token };

/** What the keeper puts into a beat. */
export interface KeeperBeat {
  readonly beat: number;
  readonly inventory: readonly LeaseEntry[];
  readonly grantsHandled: number;
  readonly leaving: boolean;
}

/** What must be done now. */
export type LeaseOrder =
  /** End its processes, tell nothing, then call `gone`. */
  | { readonly order: 'end'; readonly token: Token }
  /** Delete its result and its files: it is out of the inventory already. */
  | { readonly order: 'discard'; readonly token: Token };

export type AnswerTaken =
  | { readonly state: 'taken'; readonly orders: readonly LeaseOrder[] }
  /** From a coordinator that was replaced, or from another farm: it must not be obeyed. */
  | { readonly state: 'ignored'; readonly why: string };

/** Repeats of a grant come within seconds; so many answers are remembered. */
const REMEMBERED_GRANTS = 1024;
/** Twice what an owner can allow to run or to wait: more is a mistake, and must not fill the memory. */
const MOST_HELD = 400_000;

export interface LeaseKeeperOptions {
  readonly farmId: string;
  /** Until an answer says otherwise. */
  readonly leaseTtlMs: number;
  /** The highest that earlier runs were told; lower ones are not obeyed. */
  readonly epochSeen?: number;
  /** A higher epoch than ever is obeyed from now on. */
  readonly epochRose?: (epoch: number) => void;
  readonly fits: Fits;
}

export class LeaseKeeper {
  readonly #farmId: string;
  readonly #fits: Fits;
  readonly #epochRose: (epoch: number) => void;
  readonly #held = new Map<TokenKey, Held>();
  readonly #turns = new Turns();
  readonly #grantReplies = new Map<number, GrantReply>();
  readonly #beatsSent = new Map<number, Instant>();
  #grantsHandled = 0;
  #epoch: number;
  #beat = 0;
  #leaseTtlMs: number;
  #renewedBeat = 0;
  #renewedAt: Instant | null = null;
  #drainAsked = false;
  #leaving = false;
  /** Why the owner lets nothing begin; null while it may. */
  #closed: string | null = null;

  constructor(options: LeaseKeeperOptions) {
    this.#farmId = options.farmId;
    this.#fits = options.fits;
    this.#epoch = options.epochSeen ?? 0;
    this.#epochRose = options.epochRose ?? (() => undefined);
    this.#leaseTtlMs = options.leaseTtlMs;
  }

  /** Results that an earlier session left on disk: they are told from the first beat on. */
  restoreFinished(tokens: readonly Token[]): void {
    for (const token of tokens) this.#held.set(tokenKey(token), { state: 'finished', token });
  }

  /** Null: from a lower epoch or another farm, or too old to tell; it gets no answer. */
  handleGrant(grant: Grant): GrantReply | null {
    if (!this.#isCurrent(grant.farmId, grant.epoch)) return null;
    const repeated = this.#grantReplies.get(grant.number);
    if (repeated !== undefined) return repeated;
    if (grant.number <= this.#grantsHandled - REMEMBERED_GRANTS) return null;
    const reply = this.#decideGrant(grant);
    this.#grantReplies.set(grant.number, reply);
    // A new reign begins with a much higher number.
    for (const number of this.#grantReplies.keys()) {
      if (number > grant.number - REMEMBERED_GRANTS) break;
      this.#grantReplies.delete(number);
    }
    this.#grantsHandled = Math.max(this.#grantsHandled, grant.number);
    return reply;
  }

  #decideGrant(grant: Grant): GrantReply {
    if (grant.number <= this.#grantsHandled) {
      return refusal(`grant ${grant.number} was released or overtaken by ${this.#grantsHandled}`);
    }
    if (this.#leaving) return refusal('the agent is leaving');
    if (this.#drainAsked) return refusal('the agent is being drained');
    if (this.#closed !== null) return refusal(this.#closed);
    const count = leasesIn(grant.steps);
    if (this.#held.size + count > MOST_HELD) {
      return refusal(`it holds ${this.#held.size} leases, and ${count} more are too many`);
    }
    const refused = [];
    for (const share of grant.steps) {
      for (const assignment of assignmentsOf(share)) {
        const key = tokenKey(assignment.token);
        if (this.#held.has(key)) continue;
        // Alone on the machine as it is: whether there is room beside the others decides when it starts.
        const reason = this.#fits(assignment.demand, [], assignment.gpuIds);
        if (reason === null) this.#queue(key, assignment, share.slots);
        else refused.push({ token: assignment.token, reason });
      }
    }
    return { refused, refusedAll: '' };
  }

  #queue(key: TokenKey, assignment: Assignment, slots: number): void {
    this.#held.set(key, { state: 'waiting', assignment });
    this.#turns.queue(assignment, slots);
  }

  /** Call when a beat is about to be sent: what comes back must be sent, and counts as sent now. */
  nextBeat(now: Instant): KeeperBeat {
    this.#beat += 1;
    this.#beatsSent.set(this.#beat, now);
    return {
      beat: this.#beat,
      inventory: [...this.#held.values()].map(leaseEntry),
      grantsHandled: this.#grantsHandled,
      leaving: this.#leaving,
    };
  }

  beatAnswered(response: AdvertiseResponse): AnswerTaken {
    if (!this.#isCurrent(response.farmId, response.epoch)) {
      const why =
        response.farmId === this.#farmId
          ? `epoch ${response.epoch} is over: ${this.#epoch} has begun`
          : `the answer is from farm ${response.farmId}, this agent belongs to ${this.#farmId}`;
      return { state: 'ignored', why };
    }
    this.#renew(response.beat);
    if (response.leaseTtlMs > 0) this.#leaseTtlMs = response.leaseTtlMs;
    this.#drainAsked = response.drain;
    // What is released counts as handled: it is refused from now on, so its absence means something.
    this.#grantsHandled = Math.max(this.#grantsHandled, response.releasedGrant);
    for (const token of response.retract) this.#handBack(token);
    return { state: 'taken', orders: response.stop.flatMap((token) => this.#stop(token)) };
  }

  /** What has not begun is gone: that the inventory no longer lists it is the answer. */
  #handBack(token: Token): void {
    const key = tokenKey(token);
    if (this.#held.get(key)?.state === 'waiting') this.#forget(key);
  }

  /** Takes a lease out of the inventory, and out of wherever it stood. */
  #forget(key: TokenKey): void {
    this.#leaveTurns(key);
    this.#held.delete(key);
  }

  #leaveTurns(key: TokenKey): void {
    const held = this.#held.get(key);
    if (held === undefined || held.state === 'finished') return;
    if (held.state === 'ending' && !held.began) return;
    this.#turns.leave(key, held.assignment);
  }

  /** Whether a message of this farm and epoch may be obeyed; a higher epoch is remembered. */
  isCurrent(farmId: string, epoch: number): boolean {
    return this.#isCurrent(farmId, epoch);
  }

  #isCurrent(farmId: string, epoch: number): boolean {
    if (farmId !== this.#farmId || epoch < this.#epoch) return false;
    if (epoch > this.#epoch) {
      this.#epoch = epoch;
      this.#epochRose(epoch);
    }
    return true;
  }

  #renew(beat: number): void {
    const sentAt = this.#beatsSent.get(beat);
    if (sentAt === undefined || beat <= this.#renewedBeat) return;
    this.#renewedBeat = beat;
    this.#renewedAt = sentAt;
    for (const sent of this.#beatsSent.keys()) {
      if (sent > beat) break;
      this.#beatsSent.delete(sent);
    }
  }

  #stop(token: Token): readonly LeaseOrder[] {
    const key = tokenKey(token);
    const held = this.#held.get(key);
    if (held === undefined) return [];
    switch (held.state) {
      case 'waiting':
      case 'finished':
        this.#forget(key);
        return [{ order: 'discard', token }];
      case 'running':
        this.#held.set(key, { ...held, state: 'ending', forget: true, began: true });
        return [{ order: 'end', token }];
      case 'ending':
        this.#held.set(key, { ...held, forget: true });
        return [];
    }
  }

  /** The next lease that may start, now running; null when there is none. */
  startNext(now: Instant): Assignment | null {
    if (this.#takesNothing || !this.#isRenewed(now)) return null;
    const begun = this.#turns.begin({
      waits: (assignment) => {
        const held = this.#held.get(tokenKey(assignment.token));
        return held?.state === 'waiting' && held.assignment === assignment;
      },
      fits: ({ demand, gpuIds }, beside) => this.#fits(demand, beside, gpuIds) === null,
    });
    if (begun !== null) {
      this.#held.set(tokenKey(begun.token), { state: 'running', assignment: begun, progress: 0 });
    }
    return begun;
  }

  #isRenewed(now: Instant): boolean {
    if (this.#renewedAt === null) return false;
    return elapsedMs(this.#renewedAt, now) < this.#leaseTtlMs;
  }

  /** `counter` grows with the unit's work; a lower one than before is a programmer's error, and ignored. */
  progressed(token: Token, counter: number): void {
    const key = tokenKey(token);
    const held = this.#held.get(key);
    if (held?.state === 'running' && counter > held.progress) {
      this.#held.set(key, { ...held, progress: counter });
    }
  }

  /** The owner wants the machine back: the unit is being ended and its result will say `evicted`. */
  evicting(token: Token): void {
    const key = tokenKey(token);
    const held = this.#held.get(key);
    if (held?.state !== 'running' && held?.state !== 'waiting') return;
    const began = held.state === 'running';
    // What runs keeps its place until it is gone.
    if (!began) this.#leaveTurns(key);
    const progress = began ? held.progress : 0;
    const { assignment } = held;
    this.#held.set(key, { state: 'ending', assignment, progress, forget: false, began });
  }

  /** Whether the coordinator still wants this attempt's result. */
  isWanted(token: Token): boolean {
    const held = this.#held.get(tokenKey(token));
    return held !== undefined && !(held.state === 'ending' && held.forget);
  }

  /** Its result is in the outbox. */
  finished(token: Token): void {
    const key = tokenKey(token);
    this.#leaveTurns(key);
    this.#held.set(key, { state: 'finished', token });
  }

  /** Nothing of it is left on this machine, or a verdict closed it. */
  gone(token: Token): void {
    this.#forget(tokenKey(token));
  }

  /** From now on nothing starts and every grant is refused. */
  leave(): void {
    this.#leaving = true;
  }

  /** Likewise, until `open`. */
  close(reason: string): void {
    this.#closed = reason;
  }

  open(): void {
    this.#closed = null;
  }

  get #takesNothing(): boolean {
    return this.#leaving || this.#drainAsked || this.#closed !== null;
  }

  /** Waiting leases that will not start here because the agent drains, leaves or is closed. */
  unstartable(): readonly Assignment[] {
    if (!this.#takesNothing) return [];
    return this.#assignments('waiting');
  }

  running(): readonly Assignment[] {
    return this.#assignments('running');
  }

  waiting(): readonly Assignment[] {
    return this.#assignments('waiting');
  }

  /** What has begun and is not gone: the units that use this machine. */
  underWay(): readonly Assignment[] {
    const assignments: Assignment[] = [];
    for (const held of this.#held.values()) {
      const isThere = held.state === 'running' || (held.state === 'ending' && held.began);
      if (isThere) assignments.push(held.assignment);
    }
    return assignments;
  }

  #assignments(state: 'waiting' | 'running'): readonly Assignment[] {
    const assignments: Assignment[] = [];
    for (const held of this.#held.values()) {
      if (held.state === state) assignments.push(held.assignment);
    }
    return assignments;
  }

  /** How many leases the inventory lists. */
  get size(): number {
    return this.#held.size;
  }

  get leaving(): boolean {
    return this.#leaving;
  }
}

function elapsedMs(since: Instant, now: Instant): number {
  return Math.max(now.monotonicMs - since.monotonicMs, now.wallMs - since.wallMs);
}

function refusal(reason: string): GrantReply {
  return { refused: [], refusedAll: reason };
}

function leaseEntry(held: Held): LeaseEntry {
  switch (held.state) {
    case 'waiting':
      return { token: held.assignment.token, state: LeaseState.LEASE_STATE_WAITING, progress: 0 };
    case 'running':
      return {
        token: held.assignment.token,
        state: LeaseState.LEASE_STATE_RUNNING,
        progress: held.progress,
      };
    case 'ending':
      return {
        token: held.assignment.token,
        state: LeaseState.LEASE_STATE_ENDING,
        progress: held.progress,
      };
    case 'finished':
      return { token: held.token, state: LeaseState.LEASE_STATE_FINISHED, progress: 0 };
  }
}
