/**
 * The units of one step, in columns: about 15 bytes a unit, so that a million queued units are a few
 * typed arrays. What only few units have (outputs, failures, waiting times) is kept aside, sparsely.
 *
 * Always holds: every queued unit is in exactly one of `front`, `delayed`, `back` or the untouched
 * range from `fresh` on; no other unit is in any of the first three.
 */
import type { EndKind } from './facts.ts';
import type { File } from './task.ts';
import { NO_TOKEN, type Token } from './token.ts';

export const UNIT_QUEUED = 0;
export const UNIT_LEASED = 1;
export const UNIT_ACCEPTED = 2;
export const UNIT_FAILED = 3;
export const UNIT_CANCELLED = 4;
export type UnitState = 0 | 1 | 2 | 3 | 4;

export interface UnitFailure {
  readonly kind: EndKind;
  readonly message: string;
  readonly agentId: string;
}

export interface DelayedUnit {
  readonly unit: number;
  /** Unix time in milliseconds. */
  readonly notBeforeMs: number;
}

export interface UnitCounts {
  queued: number;
  leased: number;
  accepted: number;
  failed: number;
  cancelled: number;
}

/** One entry a unit. */
export interface UnitColumns {
  readonly states: Uint8Array;
  readonly attempts: Uint16Array;
  readonly failureCounts: Uint8Array;
  readonly lossCounts: Uint8Array;
  readonly agents: Uint16Array;
  readonly tokens: Float64Array;
}

type UnitQueues = Pick<UnitTable, 'front' | 'delayed' | 'back' | 'fresh' | 'lostAttempts'>;

const COUNT_OF_STATE = ['queued', 'leased', 'accepted', 'failed', 'cancelled'] as const;
const MAX_SMALL_COUNT = 255;
/** Longer than any pause before a retry. */
const MAX_DELAY_MS = 10 * 60_000;

export class UnitTable {
  readonly size: number;
  readonly counts: UnitCounts;
  /** Units that go before all others, in order. */
  readonly front: number[] = [];
  /** Units that may not start yet, soonest first. */
  readonly delayed: DelayedUnit[] = [];
  /** Units queued again or passed over, in order. */
  readonly back: number[] = [];
  /** Units from here on were never leased nor passed over. */
  fresh = 0;
  /** Attempts that ended without an accepted result. */
  lostAttempts = 0;
  readonly outputs = new Map<number, readonly File[]>();
  readonly failures = new Map<number, UnitFailure>();
  /** Agents that were lost while they ran the unit. */
  readonly lostOn = new Map<number, readonly string[]>();
  readonly #state: Uint8Array;
  readonly #attempts: Uint16Array;
  readonly #failureCount: Uint8Array;
  readonly #lossCount: Uint8Array;
  readonly #agent: Uint16Array;
  readonly #token: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.counts = { queued: size, leased: 0, accepted: 0, failed: 0, cancelled: 0 };
    this.#state = new Uint8Array(size);
    this.#attempts = new Uint16Array(size);
    this.#failureCount = new Uint8Array(size);
    this.#lossCount = new Uint8Array(size);
    this.#agent = new Uint16Array(size);
    this.#token = new Float64Array(size);
  }

  /** A table with these columns and queues; the counts follow from them. */
  static restore(size: number, columns: UnitColumns, queues: UnitQueues): UnitTable {
    const table = new UnitTable(size);
    table.#state.set(columns.states);
    table.#attempts.set(columns.attempts);
    table.#failureCount.set(columns.failureCounts);
    table.#lossCount.set(columns.lossCounts);
    table.#agent.set(columns.agents);
    table.#token.set(columns.tokens);
    table.counts.queued = 0;
    for (const state of columns.states) table.counts[COUNT_OF_STATE[state as UnitState]] += 1;
    table.front.push(...queues.front);
    table.delayed.push(...queues.delayed);
    table.back.push(...queues.back);
    table.fresh = queues.fresh;
    table.lostAttempts = queues.lostAttempts;
    return table;
  }

  /** The columns themselves, not copies: for whoever writes them down at once. */
  columns(): UnitColumns {
    return {
      states: this.#state,
      attempts: this.#attempts,
      failureCounts: this.#failureCount,
      lossCounts: this.#lossCount,
      agents: this.#agent,
      tokens: this.#token,
    };
  }

  stateOf(unit: number): UnitState {
    return this.#state[unit] as UnitState;
  }

  /** Attempts begun. */
  attemptsOf(unit: number): number {
    return this.#attempts[unit] ?? 0;
  }

  /** Attempts that count against the unit. */
  failureCountOf(unit: number): number {
    return this.#failureCount[unit] ?? 0;
  }

  lossCountOf(unit: number): number {
    return this.#lossCount[unit] ?? 0;
  }

  /** Roster number of the agent of the current lease or the accepted result; 0 for none. */
  agentOf(unit: number): number {
    return this.#agent[unit] ?? 0;
  }

  /** Token granted last; it stays the unit's current one until the next grant. */
  tokenOf(unit: number): Token {
    return (this.#token[unit] ?? NO_TOKEN) as Token;
  }

  isOpen(unit: number): boolean {
    const state = this.stateOf(unit);
    return state === UNIT_QUEUED || state === UNIT_LEASED;
  }

  lease(unit: number, token: Token, agent: number): void {
    this.#take(unit);
    this.#move(unit, UNIT_LEASED);
    this.#attempts[unit] = Math.min(this.attemptsOf(unit) + 1, 0xffff);
    this.#agent[unit] = agent;
    this.#token[unit] = token;
  }

  /** A lease that had ended goes on: no new attempt, same token. */
  resume(unit: number): void {
    this.#take(unit);
    this.#move(unit, UNIT_LEASED);
  }

  accept(unit: number, files: readonly File[]): void {
    if (this.stateOf(unit) === UNIT_QUEUED) this.#take(unit);
    this.#move(unit, UNIT_ACCEPTED);
    if (files.length > 0) this.outputs.set(unit, files);
    this.failures.delete(unit);
    this.lostOn.delete(unit);
  }

  /** Back to the queue: to its front, to its end, or not before a time. */
  requeue(unit: number, notBeforeMs: number, front: boolean): void {
    this.#move(unit, UNIT_QUEUED);
    if (notBeforeMs > 0) this.#delay({ unit, notBeforeMs });
    else if (front) this.front.push(unit);
    else this.back.push(unit);
  }

  fail(unit: number): void {
    if (this.stateOf(unit) === UNIT_QUEUED) this.#take(unit);
    this.#move(unit, UNIT_FAILED);
  }

  countFailure(unit: number): void {
    this.#failureCount[unit] = Math.min(this.failureCountOf(unit) + 1, MAX_SMALL_COUNT);
  }

  countLoss(unit: number, agentId: string): void {
    this.#lossCount[unit] = Math.min(this.lossCountOf(unit) + 1, MAX_SMALL_COUNT);
    const known = this.lostOn.get(unit) ?? [];
    if (!known.includes(agentId)) this.lostOn.set(unit, [...known, agentId]);
  }

  cancelOpen(): void {
    for (let unit = 0; unit < this.size; unit += 1) {
      if (this.isOpen(unit)) this.#move(unit, UNIT_CANCELLED);
    }
    this.front.length = 0;
    this.delayed.length = 0;
    this.back.length = 0;
  }

  /** Queues failed and cancelled units again, with fresh counters. */
  reopen(): void {
    for (let unit = 0; unit < this.size; unit += 1) {
      const state = this.stateOf(unit);
      if (state !== UNIT_FAILED && state !== UNIT_CANCELLED) continue;
      this.#move(unit, UNIT_QUEUED);
      this.#failureCount[unit] = 0;
      this.#lossCount[unit] = 0;
      this.lostOn.delete(unit);
      if (unit < this.fresh) this.back.push(unit);
    }
  }

  /** Queued units that may start at `nowMs` (Unix time), in the order they should. */
  *ready(nowMs: number): Generator<number> {
    yield* this.front;
    yield* this.#due(nowMs);
    yield* this.back;
    for (let unit = this.fresh; unit < this.size; unit += 1) {
      if (this.stateOf(unit) === UNIT_QUEUED) yield unit;
    }
  }

  *#due(nowMs: number): Generator<number> {
    let first = 0;
    for (; first < this.delayed.length; first += 1) {
      const entry = this.delayed[first];
      if (entry === undefined || entry.notBeforeMs > nowMs) break;
      yield entry.unit;
    }
    // Further off than any pause: the wall clock was set back since. They have waited long enough.
    for (let last = this.delayed.length - 1; last >= first; last -= 1) {
      const entry = this.delayed[last];
      if (entry === undefined || entry.notBeforeMs <= nowMs + MAX_DELAY_MS) break;
      yield entry.unit;
    }
  }

  notBeforeMsOf(unit: number): number {
    return this.delayed.find((entry) => entry.unit === unit)?.notBeforeMs ?? 0;
  }

  #take(unit: number): void {
    if (unit >= this.fresh) {
      // A pass deals units out over several agents, and their grants are applied agent by agent.
      for (let skipped = this.fresh; skipped < unit; skipped += 1) {
        if (this.stateOf(skipped) === UNIT_QUEUED) this.back.push(skipped);
      }
      this.fresh = unit + 1;
      return;
    }
    if (removeFrom(this.front, unit) || removeFrom(this.back, unit)) return;
    const at = this.delayed.findIndex((entry) => entry.unit === unit);
    if (at >= 0) this.delayed.splice(at, 1);
  }

  #delay(entry: DelayedUnit): void {
    let at = this.delayed.length;
    while (at > 0 && (this.delayed[at - 1]?.notBeforeMs ?? 0) > entry.notBeforeMs) at -= 1;
    this.delayed.splice(at, 0, entry);
  }

  #move(unit: number, to: UnitState): void {
    this.counts[COUNT_OF_STATE[this.stateOf(unit)]] -= 1;
    this.counts[COUNT_OF_STATE[to]] += 1;
    this.#state[unit] = to;
  }
}

function removeFrom(queue: number[], unit: number): boolean {
  if (queue[0] === unit) {
    queue.shift();
    return true;
  }
  const at = queue.indexOf(unit);
  if (at < 0) return false;
  queue.splice(at, 1);
  return true;
}
