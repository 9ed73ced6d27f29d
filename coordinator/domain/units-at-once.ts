/** How many units could run at once on the agents that there are: work is cut and planned by it. */
import { type AgentAnswer, agentAnswers } from './agent-answers.ts';
import { book, emptyBooking, fits, whenEmpty } from './demand.ts';
import type { Seen } from './estimates.ts';
import { sizeOf } from './size.ts';
import type { Demand } from './task.ts';

/** More units at once change little in how work is cut. */
const MOST_AT_ONCE = 250;

/** If they ran nothing else: on agents that would take such a unit now, and those that will later. */
export function unitsAtOnce(seen: Seen, demand: Demand): number {
  const answers = agentAnswers(seen, sizeOf(demand));
  const taking = answers.filter((answer) => answer.state === 'fits' || willTake(answer));
  return placesAt(seen, demand, taking, MOST_AT_ONCE);
}

/** It has room again by itself: its units end, or other programs give back what they use. */
export function willTake({ state }: AgentAnswer): boolean {
  return LATER.has(state);
}

const LATER: ReadonlySet<AgentAnswer['state']> = new Set([
  'paused',
  'kept',
  'busy',
  'used-by-others',
]);

/** Units that these agents could run at once, if they ran nothing else; not counted beyond `most`. */
export function placesAt(
  { liveness }: Pick<Seen, 'liveness'>,
  demand: Demand,
  agents: readonly AgentAnswer[],
  most: number,
): number {
  let places = 0;
  for (const { agentId } of agents) {
    const capacity = liveness.agents.get(agentId)?.capacity;
    if (capacity === undefined) continue;
    const booked = emptyBooking();
    while (places < most) {
      const fit = fits(demand, whenEmpty(capacity), booked);
      if (fit.state !== 'fits') break;
      book(booked, demand, fit.gpuIds);
      places += 1;
    }
  }
  return places;
}
