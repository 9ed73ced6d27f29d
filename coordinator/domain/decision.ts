/** What comes out of a decision, and the time that goes into it. */
import type { Answer, Barrier } from './commands.ts';
import type { Fact } from './facts.ts';
import type { Token } from './token.ts';

export interface Now {
  /** For deadlines. */
  readonly monotonicMs: number;
  /** Unix time: for facts. */
  readonly wallMs: number;
}

/** Attempts that an agent must stop and forget. */
export interface StopOrder {
  readonly agentId: string;
  readonly tokens: readonly Token[];
}

export interface Decision {
  readonly facts: readonly Fact[];
  readonly answer: Answer;
  readonly barrier: Barrier;
  readonly stops: readonly StopOrder[];
}

/** Facts, and an answer that waits for them. */
export function decided(facts: readonly Fact[], answer: Answer = { kind: 'done' }): Decision {
  return { facts, answer, barrier: 'decided', stops: [] };
}
