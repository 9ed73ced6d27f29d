/** What an explanation says to people: one line of why, and what would change it. */
import type { AgentAnswer } from './agent-answers.ts';
import { roughly } from './durations.ts';
import type { Explanation, Held, Standing } from './explain.ts';
import { demandWords } from './misfit.ts';
import { wantedWords } from './programs.ts';
import type { UnitFailure } from './unit-table.ts';

export interface Words {
  /** To be read after the subject: `waits: no agent has room for it now`. */
  readonly why: string;
  /** One change each, the nearest first; any of them is enough. Empty when nothing need be done. */
  readonly unblock: readonly string[];
}

export interface WordsContext {
  readonly nowWallMs: number;
  readonly nameOf: (agentId: string) => string;
}

/** So many agents are named in one line. */
const MOST_NAMES = 3;
const MOST_REMEDIES = 3;

export function wordsOf(explanation: Explanation, context: WordsContext): Words {
  const { standing, units } = explanation;
  const wait = units > 1 ? 'wait' : 'waits';
  switch (standing.state) {
    case 'paused':
      return { why: `${wait}: the job is paused`, unblock: ['resume the job'] };
    case 'blocked':
      return { why: `${wait} for ${stepsWaitedFor(standing.by)}`, unblock: [] };
    case 'standby':
      return { why: `has work only if step ${standing.standsInFor} fails for good`, unblock: [] };
    case 'retrying':
      return { why: `${wait} for ${nextAttempt(explanation, standing, context)}`, unblock: [] };
    case 'held-back':
      return {
        why: `${wait}: ${standing.reason}${after(standing.failure, context)}`,
        unblock: ['one of those ends, or the limit is raised'],
      };
    case 'waiting':
      return {
        why: `${wait}: ${waitingWords(standing)}${after(standing.failure, context)}`,
        unblock: waitingRemedies(standing, demandWords(standing.size.demand)),
      };
    case 'held': {
      const { leases } = standing;
      return { why: units === 1 ? heldUnitWords(leases) : heldWords(leases), unblock: [] };
    }
    case 'accepted':
      return { why: `is done${acceptedWords(explanation, standing)}`, unblock: [] };
    case 'failed':
      return standing.instead === undefined
        ? { why: failedWords(explanation, standing, context), unblock: ['retry the job'] }
        : {
            why: `${failedWords(explanation, standing, context)}; step ${standing.instead} does its work`,
            unblock: [],
          };
    case 'given-up':
      return { why: `will not start: step ${standing.instead} does its work`, unblock: [] };
    case 'cancelled': {
      const because = standing.reason === '' ? '' : `: ${standing.reason}`;
      return { why: `ended with the job${because}`, unblock: [] };
    }
  }
}

type Of<State extends Standing['state']> = Extract<Standing, { readonly state: State }>;

function stepsWaitedFor(by: Of<'blocked'>['by']): string {
  const steps = by.map(({ step, accepted, total, running }) => {
    const runs = running > 0 ? `, ${running} running` : '';
    return `${step} (${accepted} of ${total ?? '?'} done${runs})`;
  });
  return `${steps.length === 1 ? 'step' : 'steps'} ${steps.join(', ')}`;
}

function nextAttempt(
  { units, attempts }: Explanation,
  { atMs, failure }: Of<'retrying'>,
  context: WordsContext,
): string {
  const soon = `in ${roughly(atMs - context.nowWallMs)}`;
  const what =
    units > 1 ? `their next attempts, the first ${soon}` : `attempt ${attempts + 1}, ${soon}`;
  return `${what}${after(failure, context)}`;
}

/** What went wrong last. */
function after(failure: UnitFailure | undefined, { nameOf }: WordsContext): string {
  return failure === undefined ? '' : `; before that it was ${failureWords(failure, nameOf)}`;
}

function failureWords(
  { kind, message, agentId }: UnitFailure,
  nameOf: WordsContext['nameOf'],
): string {
  return `${kind} on ${nameOf(agentId)}: ${message}`;
}

function acceptedWords({ attempts }: Explanation, { agent }: Of<'accepted'>): string {
  const on = agent === '' ? '' : ` on ${agent}`;
  return attempts > 1 ? `${on}, in attempt ${attempts}` : on;
}

function failedWords(
  { attempts, units }: Explanation,
  { failure }: Of<'failed'>,
  { nameOf }: WordsContext,
): string {
  const tries = attempts > 1 ? ` after ${attempts} attempts` : '';
  if (failure === undefined) return `failed for good${tries}`;
  const which = units > 1 ? ', one of them' : '';
  return `failed for good${tries}${which}: ${failureWords(failure, nameOf)}`;
}

function waitingWords({ answers, ahead, grantsNothing }: Of<'waiting'>): string {
  if (answers === undefined) return 'which agents could take it is known to the leader alone';
  if (grantsNothing !== undefined) return grantsNothing;
  const goes = ahead === 1 ? 'unit goes' : 'units go';
  return `${whyNoAgent(answers)}${ahead === 0 ? '' : `; ${ahead} ${goes} before it`}`;
}

function waitingRemedies({ answers, grantsNothing }: Of<'waiting'>, needs: string): string[] {
  const isToldHere = answers !== undefined && grantsNothing === undefined;
  return isToldHere ? remediesOf(answers, needs) : [];
}

/** Of what agents say, those nearest to taking the unit first. */
export function whyNoAgent(answers: readonly AgentAnswer[]): string {
  const [nearest] = answers;
  switch (nearest?.state) {
    case undefined:
      return 'no agent is known';
    case 'fits':
      return `there is room on ${named(namesOf(answers, 'fits'))}, where it is offered next`;
    case 'paused':
      return 'no agent takes it just now';
    case 'kept':
      return 'what has room is kept for a larger unit';
    case 'busy':
      return 'no agent has room for it now';
    case 'used-by-others':
      return 'other programs use what it needs';
    case 'closed':
      if (nearest.wouldFit === undefined) return 'no agent has come back yet';
      return nearest.wouldFit ? 'what could run it takes nothing new' : 'no agent could run it';
    case 'too-small':
    case 'lacks':
      return 'no agent could run it';
  }
}

function namesOf(answers: readonly AgentAnswer[], state: AgentAnswer['state']): string[] {
  return answers.flatMap((answer) => (answer.state === state ? [answer.name] : []));
}

function named(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${more} more` : names.join(', ');
}

/** The least that would have to change, at each agent where it could; or else an agent that is not there. */
export function remediesOf(answers: readonly AgentAnswer[], needs: string): string[] {
  if (answers.some(({ state }) => state === 'fits')) return [];
  const soonest = answers.toSorted((a, b) => busyForMs(a) - busyForMs(b));
  const remedies = soonest.flatMap((answer) => remedyAt(answer) ?? []);
  if (remedies.length > 0) return remedies.slice(0, MOST_REMEDIES);
  const [fewest] = answers
    .flatMap((answer) => (answer.state === 'lacks' && answer.wouldFit ? [answer.attributes] : []))
    .toSorted((a, b) => a.length - b.length);
  return [`an agent with ${fewest === undefined ? needs : fewest.map(wantedWords).join(', ')}`];
}

/** Only to sort agents that are busy alike. */
function busyForMs(answer: AgentAnswer): number {
  return answer.state === 'busy' ? (answer.freeInMs ?? Number.MAX_SAFE_INTEGER) : 0;
}

function remedyAt(answer: AgentAnswer): string | undefined {
  const { name } = answer;
  switch (answer.state) {
    case 'paused':
      return `${name} when it is asked again, in ${roughly(answer.forMs)}`;
    case 'kept':
      return `${name} when that is over: it ${answer.reason}`;
    case 'busy':
      return `${name} when ${endsOf(answer)}`;
    case 'used-by-others':
      return `${name} when other programs there give back what they use`;
    case 'closed':
      return answer.wouldFit === false ? undefined : `${name} when that changes: ${answer.reason}`;
    case 'fits':
    case 'lacks':
    case 'too-small':
      return undefined;
  }
}

function endsOf({ units, freeInMs }: Extract<AgentAnswer, { state: 'busy' }>): string {
  if (units === undefined) return 'what it still runs without a lease has ended';
  const ends = units === 1 ? 'one of its units ends' : `${units} of its units end`;
  return freeInMs === undefined
    ? `${ends}; nobody knows when`
    : `${ends}, in about ${roughly(freeInMs)}`;
}

function heldWords(leases: readonly Held[]): string {
  const running = leases.filter(({ isRunning }) => isRunning).length;
  const counts = new Map<string, number>();
  for (const { agent } of leases) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  const places = [...counts].map(([agent, count]) => `${agent} (${count})`);
  const waits = running === leases.length ? '' : `, ${leases.length - running} of them not begun`;
  const silent = new Set(
    leases.flatMap(({ agent, lostInMs }) => (lostInMs === undefined ? [] : [agent])),
  );
  const lost = silent.size === 0 ? '' : `; no answer from ${named([...silent])}`;
  return `are held by ${named(places)}${waits}${lost}`;
}

/** Of one unit: its lease, and that of its second copy. */
function heldUnitWords(leases: readonly Held[]): string {
  return leases.map(heldLeaseWords).join('; its second copy ') || 'is held by an agent';
}

function heldLeaseWords({ agent, isRunning, fraction, lostInMs }: Held): string {
  const done = fraction > 0 ? `, ${Math.floor(fraction * 100)}% done` : '';
  const where = isRunning
    ? `runs on ${agent}${done}`
    : `is given to ${agent} and has not begun yet`;
  if (lostInMs === undefined) return where;
  return `${where}; the agent does not answer: the unit goes elsewhere in ${roughly(lostInMs)}`;
}
