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
 * - Nothing that runs is ended but by order of the coordinator or of the agent's owner.
 */
import {
  LeaseState,
  type AdvertiseResponse,
  type LeaseEntry,
  type Token,
} from '../proto/gen/furrow/v1/agent_service.ts';
import type { Demand } from '../proto/gen/furrow/v1/step.ts';
import type { Grant, GrantReply } from '../proto/gen/furrow/work/v1/work.ts';
import { assignmentsOf, type Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

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

export interface LeaseKeeperOptions {
  readonly farmId: string;
  /** Until an answer says otherwise. */
  readonly leaseTtlMs: number;
  readonly fits: Fits;
}

export class LeaseKeeper {
  readonly #farmId: string;
  readonly #fits: Fits;
  readonly #held = new Map<TokenKey, Held>();
  readonly #grantReplies = new Map<number, GrantReply>();
  readonly #beatsSent = new Map<number, Instant>();
  #grantsHandled = 0;
  #epoch = 0;
  #beat = 0;
  #leaseTtlMs: number;
  #renewedBeat = 0;
  #renewedAt: Instant | null = null;
  #drainAsked = false;
  #leaving = false;

  constructor(options: LeaseKeeperOptions) {
    this.#farmId = options.farmId;
    this.#fits = options.fits;
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
    this.#grantReplies.delete(grant.number - REMEMBERED_GRANTS);
    this.#grantsHandled = Math.max(this.#grantsHandled, grant.number);
    return reply;
  }

  #decideGrant(grant: Grant): GrantReply {
    if (grant.number <= this.#grantsHandled) {
      return refusal(`grant ${grant.number} was released or overtaken by ${this.#grantsHandled}`);
    }
    if (this.#leaving) return refusal('the agent is leaving');
    if (this.#drainAsked) return refusal('the agent is being drained');
    const refused = [];
    for (const assignment of assignmentsOf(grant)) {
      const key = tokenKey(assignment.token);
      if (this.#held.has(key)) continue;
      // Alone on the machine as it is: whether there is room beside the others decides when it starts.
      const reason = this.#fits(assignment.demand, [], assignment.gpuIds);
      if (reason === null) this.#held.set(key, { state: 'waiting', assignment });
      else refused.push({ token: assignment.token, reason });
    }
    return { refused, refusedAll: '' };
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
    return { state: 'taken', orders: response.stop.flatMap((token) => this.#stop(token)) };
  }

  /** Whether a message of this farm and epoch may be obeyed; a higher epoch is remembered. */
  isCurrent(farmId: string, epoch: number): boolean {
    return this.#isCurrent(farmId, epoch);
  }

  #isCurrent(farmId: string, epoch: number): boolean {
    if (farmId !== this.#farmId || epoch < this.#epoch) return false;
    this.#epoch = epoch;
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
        this.#held.delete(key);
        return [{ order: 'discard', token }];
      case 'running':
        this.#held.set(key, { ...held, state: 'ending', forget: true });
        return [{ order: 'end', token }];
      case 'ending':
        this.#held.set(key, { ...held, forget: true });
        return [];
    }
  }

  /** The next lease that may start, now running; null when there is none. */
  startNext(now: Instant): Assignment | null {
    if (this.#leaving || this.#drainAsked || !this.#isRenewed(now)) return null;
    let beside: readonly Demand[] | null = null;
    // Units of one grant share the object: what did not fit once is not asked again.
    const tooLarge = new Set<Demand>();
    for (const [key, held] of this.#held) {
      if (held.state !== 'waiting') continue;
      beside ??= this.#demandsInUse();
      const { assignment } = held;
      if (tooLarge.has(assignment.demand)) continue;
      if (this.#fits(assignment.demand, beside, assignment.gpuIds) !== null) {
        if (assignment.gpuIds.length === 0) tooLarge.add(assignment.demand);
        continue;
      }
      this.#held.set(key, { state: 'running', assignment, progress: 0 });
      return assignment;
    }
    return null;
  }

  #isRenewed(now: Instant): boolean {
    if (this.#renewedAt === null) return false;
    return elapsedMs(this.#renewedAt, now) < this.#leaseTtlMs;
  }

  #demandsInUse(): readonly Demand[] {
    const demands: Demand[] = [];
    for (const held of this.#held.values()) {
      if (held.state === 'running' || held.state === 'ending') demands.push(held.assignment.demand);
    }
    return demands;
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
    if (held?.state === 'running' || held?.state === 'waiting') {
      const progress = held.state === 'running' ? held.progress : 0;
      this.#held.set(key, {
        state: 'ending',
        assignment: held.assignment,
        progress,
        forget: false,
      });
    }
  }

  /** Whether the coordinator still wants this attempt's result. */
  isWanted(token: Token): boolean {
    const held = this.#held.get(tokenKey(token));
    return held !== undefined && !(held.state === 'ending' && held.forget);
  }

  /** Its result is in the outbox. */
  finished(token: Token): void {
    this.#held.set(tokenKey(token), { state: 'finished', token });
  }

  /** Nothing of it is left on this machine, or a verdict closed it. */
  gone(token: Token): void {
    this.#held.delete(tokenKey(token));
  }

  /** From now on nothing starts and every grant is refused. */
  leave(): void {
    this.#leaving = true;
  }

  /** Waiting leases that will not start here because the agent drains or leaves. */
  unstartable(): readonly Assignment[] {
    if (!this.#leaving && !this.#drainAsked) return [];
    return this.#assignments('waiting');
  }

  running(): readonly Assignment[] {
    return this.#assignments('running');
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
