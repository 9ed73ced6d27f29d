/** What comes out of a decision, and the time that goes into it. */
import type { Answer, Barrier, RefusalCode } from './commands.ts';
import type { Fact } from './facts.ts';
import type { Lease } from './farm.ts';
import type { Token } from './token.ts';

export interface Now {
  /** For deadlines. */
  readonly monotonicMs: number;
  /** Unix time: for facts. */
  readonly wallMs: number;
}

/** Attempts that an agent must stop and forget; with none it only hears whether it drains. */
export interface StopOrder {
  readonly agentId: string;
  readonly tokens: readonly Token[];
}

export interface Decision {
  readonly facts: readonly Fact[];
  readonly answer: Answer;
  readonly barrier: Barrier;
  readonly stops: readonly StopOrder[];
  /** Leases to hand back if they have not begun. */
  readonly retracts: readonly StopOrder[];
}

/** Orders for these leases, by agent. */
export function ordersFor(leases: readonly Lease[]): StopOrder[] {
  const byAgent = new Map<string, Token[]>();
  for (const lease of leases) {
    const tokens = byAgent.get(lease.agentId);
    if (tokens === undefined) byAgent.set(lease.agentId, [lease.token]);
    else tokens.push(lease.token);
  }
  return [...byAgent].map(([agentId, tokens]) => ({ agentId, tokens }));
}

/** Facts, and an answer that waits for them. */
export function decided(facts: readonly Fact[], answer: Answer = { kind: 'done' }): Decision {
  return { facts, answer, barrier: 'decided', stops: [], retracts: [] };
}

/**
 * Nothing is to be done, by what is known here. One who was deposed and does not know it yet knows less
 * than others were told, so this is said only by whoever still leads.
 */
export function unchanged(answer: Answer = { kind: 'done' }): Decision {
  return { ...decided([], answer), barrier: 'fresh' };
}

/** Because of how the farm stands. */
export function refused(code: RefusalCode, reason: string, message: string): Decision {
  return unchanged({ kind: 'refused', code, reason, message });
}
