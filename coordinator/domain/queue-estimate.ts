/** How many units go before one that waits, and when its turn may come. */
import type { AgentAnswer } from './agent-answers.ts';
import { stepOf, unitsOf } from './find.ts';
import { readyEntry } from './ready-steps.ts';
import type { Job, StepRun } from './farm.ts';
import { couldFitOneOf } from './misfit.ts';
import { compareReady, type ReadyStep } from './ready-index.ts';
import { runMsOf, type Seen } from './estimates.ts';

/** Queued units that are offered before this one and that some agent could run. */
export function unitsAhead(seen: Seen, job: Job, step: StepRun, unit: number): number {
  const { farm, liveness, now } = seen;
  const own = readyEntry(job, step);
  // Owners of equal priority take turns: of theirs nobody knows how many.
  const isBefore = (entry: ReadyStep): boolean =>
    entry.owner === own.owner ? compareReady(entry, own) < 0 : entry.priority > own.priority;
  let ahead = aheadInStep(step, unit, now.wallMs);
  for (const [classKey, owners] of farm.ready.classes()) {
    const before = [...owners.values()].flat().filter(isBefore);
    const [first] = before;
    if (first === undefined) continue;
    const { demand } = stepOf(farm, first.job, first.step);
    if (classKey !== step.classKey && !couldFitOneOf(liveness.agents, demand)) continue;
    for (const entry of before) {
      ahead += unitsOf(stepOf(farm, entry.job, entry.step)).counts.queued;
    }
  }
  return ahead;
}

function aheadInStep(step: StepRun, unit: number, wallMs: number): number {
  const units = unitsOf(step);
  // Of those that were never touched nobody counts a million.
  if (unit >= units.fresh) {
    const due = units.delayed.length - units.delayedAt(wallMs).length;
    return units.front.length + due + units.back.length + unit - units.fresh;
  }
  let ahead = 0;
  for (const other of units.ready(wallMs)) {
    if (other === unit) break;
    ahead += 1;
  }
  return ahead;
}

/**
 * In how many milliseconds a unit with so many before it may start: when the first agent has room, and then as fast as the agents
 * that could take it have been getting through what they run. Undefined when either is not known.
 */
export function startOf(
  seen: Seen,
  answers: readonly AgentAnswer[],
  ahead: number,
): number | undefined {
  const rooms = answers.flatMap((answer) => roomInMs(answer) ?? []);
  if (rooms.length === 0) return undefined;
  const firstMs = Math.min(...rooms);
  if (ahead === 0) return firstMs;
  const ratePerMs = endsPerMs(seen, answers);
  return ratePerMs === 0 ? undefined : firstMs + ahead / ratePerMs;
}

function roomInMs(answer: AgentAnswer): number | undefined {
  switch (answer.state) {
    case 'fits':
      return 0;
    case 'paused':
      return answer.forMs;
    case 'busy':
      return answer.freeInMs;
    case 'kept':
    case 'used-by-others':
    case 'closed':
    case 'lacks':
    case 'too-small':
      return undefined;
  }
}

/** Units a millisecond that end at the agents that may take the unit. */
function endsPerMs(seen: Seen, answers: readonly AgentAnswer[]): number {
  const { farm } = seen;
  let perMs = 0;
  for (const answer of answers) {
    if (answer.state === 'closed' || answer.state === 'lacks' || answer.state === 'too-small') {
      continue;
    }
    for (const token of farm.agents.get(answer.agentId)?.leases ?? []) {
      const lease = farm.leases.get(token);
      if (lease === undefined || seen.liveness.leases.get(token)?.running !== true) continue;
      const runMs = runMsOf(seen, lease);
      if (runMs !== undefined) perMs += 1 / Math.max(1, runMs);
    }
  }
  return perMs;
}
