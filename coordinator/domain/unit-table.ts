/**
 * The units of one step: what all have is in columns, about 15 bytes a unit; what only few have (outputs,
 * failures, waiting times) is kept aside, and not made before it is needed: most jobs are small.
 *
 * Always holds: every queued unit is in exactly one of `front`, `delayed`, `back` or the untouched
 * range from `fresh` on; no other unit is in any of the first three.
 */
import type { EndKind } from './facts.ts';
import type { Growth } from './size.ts';
import type { File } from './task.ts';
import { NO_TOKEN, type Token } from './token.ts';
import {
  type ColumnArrays,
  columnsFrom,
  newColumns,
  type UnitColumns,
  type UnitState,
} from './unit-columns.ts';

export const UNIT_QUEUED = 0;
export const UNIT_LEASED = 1;
export const UNIT_ACCEPTED = 2;
export const UNIT_FAILED = 3;
export const UNIT_CANCELLED = 4;

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

/** The second lease of a unit, whose first is in the columns. */
export interface UnitCopy {
  readonly token: Token;
  /** Roster number. */
  readonly agent: number;
}

/** What few units have. */
interface Aside {
  readonly front: number[];
  readonly delayed: DelayedUnit[];
  readonly back: number[];
  readonly outputs: Map<number, readonly File[]>;
  readonly failures: Map<number, UnitFailure>;
  readonly lostOn: Map<number, readonly string[]>;
  readonly growths: Map<number, Growth>;
  readonly copies: Map<number, UnitCopy>;
  readonly checkpoints: Map<number, readonly File[]>;
}

/** What few units of a table have that is put together again. */
export type RestoredAside = Omit<Aside, 'copies'>;

const COUNT_OF_STATE = ['queued', 'leased', 'accepted', 'failed', 'cancelled'] as const;
const MAX_SMALL_COUNT = 255;
/** Longer than any pause before a retry (`retry.ts`), and no more: so long a unit waits at most for a clock that was set back. */
export const MAX_DELAY_MS = 7 * 60_000;

/** Shared by all tables that have nothing aside; never changed. */
const NOTHING_ASIDE: Aside = emptyAside();
/** Of tables so small the counts are counted when they are asked for. */
const MOST_COUNTED_UNITS = 8;

export class UnitTable {
  readonly size: number;
  /** Units from here on were never leased nor passed over. */
  fresh = 0;
  /** Attempts that ended without an accepted result. */
  lostAttempts = 0;
  readonly #columns: UnitColumns;
  readonly #counts: UnitCounts | undefined;
  #aside: Aside = NOTHING_ASIDE;

  constructor(size: number, columns: UnitColumns = newColumns(size)) {
    this.size = size;
    this.#columns = columns;
    this.#counts = size > MOST_COUNTED_UNITS ? countsOf(columns, size) : undefined;
  }

  /** A table with these columns and all that is kept aside; the counts follow from them. */
  static restore(
    size: number,
    arrays: ColumnArrays,
    aside: RestoredAside,
    rest: Pick<UnitTable, 'fresh' | 'lostAttempts'>,
  ): UnitTable {
    const table = new UnitTable(size, columnsFrom(size, arrays));
    const { front, delayed, back, outputs, failures, lostOn, growths, checkpoints } = aside;
    const queued = front.length + delayed.length + back.length;
    const kept = outputs.size + failures.size + lostOn.size + growths.size + checkpoints.size;
    const hasAside = queued + kept > 0;
    if (hasAside) table.#aside = { ...aside, copies: new Map() };
    table.fresh = rest.fresh;
    table.lostAttempts = rest.lostAttempts;
    return table;
  }

  get counts(): Readonly<UnitCounts> {
    return this.#counts ?? countsOf(this.#columns, this.size);
  }

  /** Units that go before all others, in order. */
  get front(): readonly number[] {
    return this.#aside.front;
  }

  /** Units that may not start yet, soonest first. */
  get delayed(): readonly DelayedUnit[] {
    return this.#aside.delayed;
  }

  /** Units queued again or passed over, in order. */
  get back(): readonly number[] {
    return this.#aside.back;
  }

  get outputs(): ReadonlyMap<number, readonly File[]> {
    return this.#aside.outputs;
  }

  get failures(): ReadonlyMap<number, UnitFailure> {
    return this.#aside.failures;
  }

  /** Agents that were lost while they ran the unit. */
  get lostOn(): ReadonlyMap<number, readonly string[]> {
    return this.#aside.lostOn;
  }

  /** Units for which the memory that their step demands was not enough. */
  get growths(): ReadonlyMap<number, Growth> {
    return this.#aside.growths;
  }

  /** Second leases of leased units. */
  get copies(): ReadonlyMap<number, UnitCopy> {
    return this.#aside.copies;
  }

  /** What open units left to go on from. */
  get checkpoints(): ReadonlyMap<number, readonly File[]> {
    return this.#aside.checkpoints;
  }

  /** One entry a unit, for whoever writes them down at once: they may be the columns themselves. */
  columns(): ColumnArrays {
    return this.#columns.arrays();
  }

  stateOf(unit: number): UnitState {
    return this.#columns.stateOf(unit);
  }

  /** Attempts begun. */
  attemptsOf(unit: number): number {
    return this.#columns.attemptsOf(unit);
  }

  /** Attempts that count against the unit. */
  failureCountOf(unit: number): number {
    return this.#columns.failureCountOf(unit);
  }

  lossCountOf(unit: number): number {
    return this.#columns.lossCountOf(unit);
  }

  /** Roster number of the agent of the current lease or the accepted result; 0 for none. */
  agentOf(unit: number): number {
    return this.#columns.agentOf(unit);
  }

  /** Token granted last, but for a copy's; it stays a current one until the next grant. */
  tokenOf(unit: number): Token {
    return this.#columns.tokenOf(unit);
  }

  isOpen(unit: number): boolean {
    const state = this.stateOf(unit);
    return state === UNIT_QUEUED || state === UNIT_LEASED;
  }

  /** All units, none of which was leased yet, in the order in which they should be; empty for that of their numbers. */
  queueInOrder(order: readonly number[]): void {
    if (order.length === 0) return;
    this.#asideToChange().back.push(...order);
    this.fresh = this.size;
  }

  lease(unit: number, token: Token, agent: number): void {
    this.#take(unit);
    this.#move(unit, UNIT_LEASED);
    this.#columns.setAttempts(unit, Math.min(this.attemptsOf(unit) + 1, 0xffff));
    this.#columns.setAgent(unit, agent);
    this.#columns.setToken(unit, token);
  }

  /** A second lease of a leased unit, and a new attempt. */
  copy(unit: number, token: Token, agent: number): void {
    this.#columns.setAttempts(unit, Math.min(this.attemptsOf(unit) + 1, 0xffff));
    this.restoreCopy(unit, { token, agent });
  }

  /** A second lease whose attempt is counted already. */
  restoreCopy(unit: number, copy: UnitCopy): void {
    this.#asideToChange().copies.set(unit, copy);
  }

  /** Of a unit's two leases, the token of the one that this is not; undefined when there is but one. */
  otherTokenOf(unit: number, token: Token): Token | undefined {
    const copy = this.copies.get(unit);
    return copy?.token === token ? this.tokenOf(unit) : copy?.token;
  }

  /** This one of a unit's two leases is over: the other is its only one, and its token the current one. */
  endCopy(unit: number, token: Token): void {
    const copy = this.copies.get(unit);
    if (copy === undefined) return;
    this.#aside.copies.delete(unit);
    if (copy.token === token) return;
    this.#columns.setToken(unit, copy.token);
    this.#columns.setAgent(unit, copy.agent);
  }

  /** This attempt never began: the next one has its number, unless one was granted since. */
  unbegin(unit: number, attempt: number): void {
    if (attempt === this.attemptsOf(unit)) this.#columns.setAttempts(unit, attempt - 1);
  }

  /** A lease that had ended goes on: no new attempt, same token. */
  resume(unit: number): void {
    this.#take(unit);
    this.#move(unit, UNIT_LEASED);
  }

  accept(unit: number, files: readonly File[]): void {
    if (this.stateOf(unit) === UNIT_QUEUED) this.#take(unit);
    this.#move(unit, UNIT_ACCEPTED);
    if (files.length > 0) this.#asideToChange().outputs.set(unit, files);
    this.#aside.failures.delete(unit);
    this.#aside.lostOn.delete(unit);
    this.#aside.checkpoints.delete(unit);
  }

  /** Back to the queue: to its front, to its end, or not before a time. */
  requeue(unit: number, notBeforeMs: number, front: boolean): void {
    this.#move(unit, UNIT_QUEUED);
    if (notBeforeMs > 0) this.#delay({ unit, notBeforeMs });
    else if (front) this.#asideToChange().front.push(unit);
    else this.#asideToChange().back.push(unit);
  }

  fail(unit: number): void {
    if (this.stateOf(unit) === UNIT_QUEUED) this.#take(unit);
    this.#move(unit, UNIT_FAILED);
    this.#aside.checkpoints.delete(unit);
  }

  /** The unit's last failure. */
  noteFailure(unit: number, failure: UnitFailure): void {
    this.#asideToChange().failures.set(unit, failure);
  }

  countFailure(unit: number): void {
    const failures = Math.min(this.failureCountOf(unit) + 1, MAX_SMALL_COUNT);
    this.#columns.setFailureCount(unit, failures);
  }

  countLoss(unit: number, agentId: string): void {
    this.#columns.setLossCount(unit, Math.min(this.lossCountOf(unit) + 1, MAX_SMALL_COUNT));
    const known = this.lostOn.get(unit) ?? [];
    if (known.includes(agentId)) return;
    this.#asideToChange().lostOn.set(unit, [...known, agentId]);
  }

  /** The unit needs at least so much from now on. */
  grow(unit: number, growth: Growth): void {
    this.#asideToChange().growths.set(unit, growth);
  }

  /** The next attempt goes on from these files. */
  saveCheckpoint(unit: number, files: readonly File[]): void {
    this.#asideToChange().checkpoints.set(unit, files);
  }

  cancelOpen(): void {
    for (let unit = 0; unit < this.size; unit += 1) {
      if (this.isOpen(unit)) this.#move(unit, UNIT_CANCELLED);
    }
    const { front, delayed, back, copies, checkpoints } = this.#aside;
    for (const queue of [front, delayed, back]) if (queue.length > 0) queue.length = 0;
    copies.clear();
    checkpoints.clear();
  }

  /** Queues failed and cancelled units again, with fresh counters. */
  reopen(): void {
    for (let unit = 0; unit < this.size; unit += 1) {
      const state = this.stateOf(unit);
      if (state !== UNIT_FAILED && state !== UNIT_CANCELLED) continue;
      this.#move(unit, UNIT_QUEUED);
      this.#columns.setFailureCount(unit, 0);
      this.#columns.setLossCount(unit, 0);
      this.#aside.lostOn.delete(unit);
      if (unit < this.fresh) this.#asideToChange().back.push(unit);
    }
  }

  /** No token counts any more but those of accepted results; what was leased goes before all others. */
  revoke(): void {
    this.#aside.copies.clear();
    for (let unit = 0; unit < this.fresh; unit += 1) {
      const state = this.stateOf(unit);
      if (state === UNIT_ACCEPTED) continue;
      this.#columns.setToken(unit, NO_TOKEN);
      if (state === UNIT_LEASED) this.requeue(unit, 0, true);
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
    for (let last = this.delayed.length - 1; last >= first; last -= 1) {
      const entry = this.delayed[last];
      if (entry === undefined || isDelayed(entry, nowMs)) break;
      yield entry.unit;
    }
  }

  /** Queued units that may not start at `nowMs` (Unix time), soonest first. */
  delayedAt(nowMs: number): readonly DelayedUnit[] {
    return this.delayed.filter((entry) => isDelayed(entry, nowMs));
  }

  notBeforeMsOf(unit: number): number {
    return this.delayed.find((entry) => entry.unit === unit)?.notBeforeMs ?? 0;
  }

  isDelayedAt(unit: number, nowMs: number): boolean {
    return isDelayed({ unit, notBeforeMs: this.notBeforeMsOf(unit) }, nowMs);
  }

  #take(unit: number): void {
    if (unit >= this.fresh) {
      // A pass deals units out over several agents, and their grants are applied agent by agent.
      for (let skipped = this.fresh; skipped < unit; skipped += 1) {
        if (this.stateOf(skipped) === UNIT_QUEUED) this.#asideToChange().back.push(skipped);
      }
      this.fresh = unit + 1;
      return;
    }
    const { front, delayed, back } = this.#aside;
    if (removeFrom(front, unit) || removeFrom(back, unit)) return;
    const at = delayed.findIndex((entry) => entry.unit === unit);
    if (at >= 0) delayed.splice(at, 1);
  }

  #delay(entry: DelayedUnit): void {
    const { delayed } = this.#asideToChange();
    let at = delayed.length;
    while (at > 0 && (delayed[at - 1]?.notBeforeMs ?? 0) > entry.notBeforeMs) at -= 1;
    delayed.splice(at, 0, entry);
  }

  #move(unit: number, to: UnitState): void {
    if (this.#counts !== undefined) {
      this.#counts[COUNT_OF_STATE[this.stateOf(unit)]] -= 1;
      this.#counts[COUNT_OF_STATE[to]] += 1;
    }
    this.#columns.setState(unit, to);
  }

  #asideToChange(): Aside {
    if (this.#aside === NOTHING_ASIDE) this.#aside = emptyAside();
    return this.#aside;
  }
}

/** Further off than any pause: the wall clock was set back since. It has waited long enough. */
function isDelayed({ notBeforeMs }: DelayedUnit, nowMs: number): boolean {
  return notBeforeMs > nowMs && notBeforeMs <= nowMs + MAX_DELAY_MS;
}

function emptyAside(): Aside {
  return {
    front: [],
    delayed: [],
    back: [],
    outputs: new Map(),
    failures: new Map(),
    lostOn: new Map(),
    growths: new Map(),
    copies: new Map(),
    checkpoints: new Map(),
  };
}

function countsOf(columns: UnitColumns, size: number): UnitCounts {
  const counts = { queued: 0, leased: 0, accepted: 0, failed: 0, cancelled: 0 };
  for (let unit = 0; unit < size; unit += 1) counts[COUNT_OF_STATE[columns.stateOf(unit)]] += 1;
  return counts;
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
