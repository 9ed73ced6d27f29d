/**
 * What every unit of a step has, in columns. Large steps keep each column in a typed array, about 15
 * bytes a unit; small ones pack a unit into two numbers of one plain array, because six typed arrays
 * take more memory than a hundred units.
 */
import { NO_TOKEN, type Token } from './token.ts';

export type UnitState = 0 | 1 | 2 | 3 | 4;

/** One entry a unit. */
export interface ColumnArrays {
  readonly states: Uint8Array;
  readonly attempts: Uint16Array;
  readonly failureCounts: Uint8Array;
  readonly lossCounts: Uint8Array;
  readonly agents: Uint16Array;
  readonly tokens: Float64Array;
}

export interface UnitColumns {
  stateOf(unit: number): UnitState;
  setState(unit: number, state: UnitState): void;
  /** At most 65,535. */
  attemptsOf(unit: number): number;
  setAttempts(unit: number, attempts: number): void;
  /** At most 255. */
  failureCountOf(unit: number): number;
  setFailureCount(unit: number, count: number): void;
  /** At most 255. */
  lossCountOf(unit: number): number;
  setLossCount(unit: number, count: number): void;
  /** Roster number; 0 for none. */
  agentOf(unit: number): number;
  setAgent(unit: number, agent: number): void;
  tokenOf(unit: number): Token;
  setToken(unit: number, token: Token): void;
  /** For whoever writes them down at once: they may be the columns themselves. */
  arrays(): ColumnArrays;
}

/** The typed arrays of a unit take six times some 180 bytes before the first unit. */
const MOST_PACKED_UNITS = 64;

export function newColumns(size: number): UnitColumns {
  return size <= MOST_PACKED_UNITS ? new PackedColumns(size) : new WideColumns(emptyArrays(size));
}

export function columnsFrom(size: number, arrays: ColumnArrays): UnitColumns {
  if (size > MOST_PACKED_UNITS) return new WideColumns(arrays);
  const columns = new PackedColumns(size);
  for (let unit = 0; unit < size; unit += 1) {
    columns.setState(unit, arrays.states[unit] as UnitState);
    columns.setAttempts(unit, arrays.attempts[unit] ?? 0);
    columns.setFailureCount(unit, arrays.failureCounts[unit] ?? 0);
    columns.setLossCount(unit, arrays.lossCounts[unit] ?? 0);
    columns.setAgent(unit, arrays.agents[unit] ?? 0);
    columns.setToken(unit, (arrays.tokens[unit] ?? NO_TOKEN) as Token);
  }
  return columns;
}

function emptyArrays(size: number): ColumnArrays {
  return {
    states: new Uint8Array(size),
    attempts: new Uint16Array(size),
    failureCounts: new Uint8Array(size),
    lossCounts: new Uint8Array(size),
    agents: new Uint16Array(size),
    tokens: new Float64Array(size),
  };
}

class WideColumns implements UnitColumns {
  readonly #arrays: ColumnArrays;

  constructor(arrays: ColumnArrays) {
    this.#arrays = arrays;
  }

  stateOf(unit: number): UnitState {
    return this.#arrays.states[unit] as UnitState;
  }

  setState(unit: number, state: UnitState): void {
    this.#arrays.states[unit] = state;
  }

  attemptsOf(unit: number): number {
    return this.#arrays.attempts[unit] ?? 0;
  }

  setAttempts(unit: number, attempts: number): void {
    this.#arrays.attempts[unit] = attempts;
  }

  failureCountOf(unit: number): number {
    return this.#arrays.failureCounts[unit] ?? 0;
  }

  setFailureCount(unit: number, count: number): void {
    this.#arrays.failureCounts[unit] = count;
  }

  lossCountOf(unit: number): number {
    return this.#arrays.lossCounts[unit] ?? 0;
  }

  setLossCount(unit: number, count: number): void {
    this.#arrays.lossCounts[unit] = count;
  }

  agentOf(unit: number): number {
    return this.#arrays.agents[unit] ?? 0;
  }

  setAgent(unit: number, agent: number): void {
    this.#arrays.agents[unit] = agent;
  }

  tokenOf(unit: number): Token {
    return (this.#arrays.tokens[unit] ?? NO_TOKEN) as Token;
  }

  setToken(unit: number, token: Token): void {
    this.#arrays.tokens[unit] = token;
  }

  arrays(): ColumnArrays {
    return this.#arrays;
  }
}

/** Where each field begins in the packed number: 3 + 8 + 8 + 16 + 16 bits of the 53 it has. */
const FAILURES_AT = 2 ** 3;
const LOSSES_AT = 2 ** 11;
const ATTEMPTS_AT = 2 ** 19;
const AGENT_AT = 2 ** 35;
const BYTE = 2 ** 8;
const TWO_BYTES = 2 ** 16;

class PackedColumns implements UnitColumns {
  readonly #size: number;
  /** Unit u's fields at 2u, its token at 2u + 1. */
  readonly #numbers: number[];

  constructor(size: number) {
    this.#size = size;
    this.#numbers = Array.from({ length: size * 2 }, () => 0);
  }

  stateOf(unit: number): UnitState {
    return ((this.#numbers[unit * 2] ?? 0) % FAILURES_AT) as UnitState;
  }

  setState(unit: number, state: UnitState): void {
    this.#set(unit, 1, FAILURES_AT, state);
  }

  attemptsOf(unit: number): number {
    return this.#get(unit, ATTEMPTS_AT, TWO_BYTES);
  }

  setAttempts(unit: number, attempts: number): void {
    this.#set(unit, ATTEMPTS_AT, TWO_BYTES, attempts);
  }

  failureCountOf(unit: number): number {
    return this.#get(unit, FAILURES_AT, BYTE);
  }

  setFailureCount(unit: number, count: number): void {
    this.#set(unit, FAILURES_AT, BYTE, count);
  }

  lossCountOf(unit: number): number {
    return this.#get(unit, LOSSES_AT, BYTE);
  }

  setLossCount(unit: number, count: number): void {
    this.#set(unit, LOSSES_AT, BYTE, count);
  }

  agentOf(unit: number): number {
    return this.#get(unit, AGENT_AT, TWO_BYTES);
  }

  setAgent(unit: number, agent: number): void {
    this.#set(unit, AGENT_AT, TWO_BYTES, agent % TWO_BYTES);
  }

  tokenOf(unit: number): Token {
    return (this.#numbers[unit * 2 + 1] ?? NO_TOKEN) as Token;
  }

  setToken(unit: number, token: Token): void {
    this.#numbers[unit * 2 + 1] = token;
  }

  arrays(): ColumnArrays {
    const arrays = emptyArrays(this.#size);
    for (let unit = 0; unit < this.#size; unit += 1) {
      arrays.states[unit] = this.stateOf(unit);
      arrays.attempts[unit] = this.attemptsOf(unit);
      arrays.failureCounts[unit] = this.failureCountOf(unit);
      arrays.lossCounts[unit] = this.lossCountOf(unit);
      arrays.agents[unit] = this.agentOf(unit);
      arrays.tokens[unit] = this.tokenOf(unit);
    }
    return arrays;
  }

  #get(unit: number, at: number, range: number): number {
    return Math.floor((this.#numbers[unit * 2] ?? 0) / at) % range;
  }

  #set(unit: number, at: number, range: number, value: number): void {
    const packed = this.#numbers[unit * 2] ?? 0;
    const before = Math.floor(packed / at) % range;
    this.#numbers[unit * 2] = packed + (value - before) * at;
  }
}
