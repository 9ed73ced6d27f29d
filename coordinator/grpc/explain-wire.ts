/** Explanations as the protocol has them, and as lines for people. */
import {
  AgentAnswerState,
  ExplainedState,
  type AgentAnswer as WireAnswer,
  type Explanation as WireExplanation,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { AgentAnswer } from '../domain/agent-answers.ts';
import { roughly } from '../domain/durations.ts';
import type { Explanation, Held, Standing } from '../domain/explain.ts';
import { wordsOf } from '../domain/explanation-words.ts';
import type { Seen } from '../domain/estimates.ts';
import type { JobView } from '../domain/views.ts';

const STATES: Readonly<Record<Standing['state'], ExplainedState>> = {
  paused: ExplainedState.EXPLAINED_STATE_PAUSED,
  blocked: ExplainedState.EXPLAINED_STATE_BLOCKED,
  standby: ExplainedState.EXPLAINED_STATE_BLOCKED,
  retrying: ExplainedState.EXPLAINED_STATE_RETRYING,
  'held-back': ExplainedState.EXPLAINED_STATE_HELD_BACK,
  waiting: ExplainedState.EXPLAINED_STATE_WAITING,
  held: ExplainedState.EXPLAINED_STATE_HELD,
  accepted: ExplainedState.EXPLAINED_STATE_ACCEPTED,
  failed: ExplainedState.EXPLAINED_STATE_FAILED,
  'given-up': ExplainedState.EXPLAINED_STATE_GIVEN_UP,
  cancelled: ExplainedState.EXPLAINED_STATE_CANCELLED,
};

const ANSWER_STATES: Readonly<Record<AgentAnswer['state'], AgentAnswerState>> = {
  fits: AgentAnswerState.AGENT_ANSWER_STATE_FITS,
  paused: AgentAnswerState.AGENT_ANSWER_STATE_PAUSED,
  kept: AgentAnswerState.AGENT_ANSWER_STATE_KEPT,
  busy: AgentAnswerState.AGENT_ANSWER_STATE_BUSY,
  'used-by-others': AgentAnswerState.AGENT_ANSWER_STATE_USED_BY_OTHERS,
  closed: AgentAnswerState.AGENT_ANSWER_STATE_CLOSED,
  'too-small': AgentAnswerState.AGENT_ANSWER_STATE_TOO_SMALL,
  lacks: AgentAnswerState.AGENT_ANSWER_STATE_LACKS,
};

/** Without `tellsAgents` what agents say is left out: it was told already. */
export function explanationToWire(
  { farm, now }: Pick<Seen, 'farm' | 'now'>,
  explanation: Explanation,
  tellsAgents: boolean,
): WireExplanation {
  const { subject, units, attempts, standing } = explanation;
  const nameOf = (agentId: string): string => farm.agents.get(agentId)?.name ?? agentId;
  const { why, unblock } = wordsOf(explanation, { nowWallMs: now.wallMs, nameOf });
  return {
    subject,
    units,
    attempts,
    state: STATES[standing.state],
    why,
    unblock,
    agents: [],
    startInMs: undefined,
    unitsAhead: 0,
    retryAtMs: 0,
    sinceMs: 0,
    endInMs: undefined,
    fraction: 0,
    failureKind: '',
    failureMessage: '',
    ...figuresOf(standing, units),
    ...(tellsAgents ? {} : { agents: [] }),
  };
}

function figuresOf(standing: Standing, units: number): Partial<WireExplanation> {
  switch (standing.state) {
    case 'blocked':
      return { startInMs: wholeMs(standing.startInMs) };
    case 'retrying':
      return { retryAtMs: standing.atMs, ...failureToWire(standing) };
    case 'waiting':
      return {
        agents: standing.answers?.map(answerToWire) ?? [],
        startInMs: wholeMs(standing.startInMs),
        unitsAhead: standing.ahead,
        ...failureToWire(standing),
      };
    case 'held':
      return heldToWire(standing.leases, units);
    case 'held-back':
    case 'failed':
      return failureToWire(standing);
    case 'paused':
    case 'standby':
    case 'accepted':
    case 'cancelled':
    case 'given-up':
      return {};
  }
}

function failureToWire({
  failure,
}: Extract<Standing, { failure: unknown }>): Partial<WireExplanation> {
  return { failureKind: failure?.kind ?? '', failureMessage: failure?.message ?? '' };
}

function heldToWire(leases: readonly Held[], units: number): Partial<WireExplanation> {
  const since = leases.flatMap(({ sinceMs }) => sinceMs ?? []);
  const ends = leases.flatMap(({ endInMs }) => endInMs ?? []);
  const areAllKnown = ends.length > 0 && ends.length === leases.length;
  // Of a unit and its second copy the first that ends ends both.
  const endInMs = units === 1 ? Math.min(...ends) : areAllKnown ? Math.max(...ends) : Infinity;
  return {
    sinceMs: since.length === 0 ? 0 : Math.round(Math.min(...since)),
    endInMs: endInMs === Infinity ? undefined : Math.round(endInMs),
    fraction: units === 1 ? Math.max(0, ...leases.map(({ fraction }) => fraction)) : 0,
  };
}

function answerToWire(answer: AgentAnswer): WireAnswer {
  const { agentId, name } = answer;
  return {
    agentId,
    name,
    state: ANSWER_STATES[answer.state],
    reason: answer.state === 'fits' ? '' : answer.reason,
    roomInMs: wholeMs(
      answer.state === 'busy'
        ? answer.freeInMs
        : answer.state === 'paused'
          ? answer.forMs
          : undefined,
    ),
  };
}

function wholeMs(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.max(0, Math.round(ms));
}

/** Where a job stands as a whole. */
export function jobSummary({ id, state, reason, steps }: JobView): string {
  const done = steps.reduce((sum, step) => sum + step.accepted, 0);
  const total = steps.reduce((sum, step) => sum + step.total, 0);
  const isWholeKnown = steps.every(({ known }) => known);
  const count = `${done} of ${isWholeKnown ? total : `${total} or more`} units are done`;
  switch (state) {
    case 'queued':
      return `${id} waits: none of its units has begun`;
    case 'running':
      return `${id} is running: ${count}`;
    case 'paused':
      return `${id} is paused: ${count}`;
    case 'succeeded':
      return `${id} has succeeded: all ${done} units are done`;
    case 'failed':
    case 'cancelled':
      return `${id} ${state === 'failed' ? 'has failed' : 'was cancelled'}: ${reason}`;
  }
}

/** So many agents are spelled out. */
const MOST_AGENTS = 20;

/** What a program may show as it is; `summary` comes first where there is one. */
export function explanationLines(
  summary: string,
  explanations: readonly WireExplanation[],
): string[] {
  const lines = explanations.flatMap((explanation) => {
    const { subject, units, why, agents, unblock } = explanation;
    const count = units > 1 ? `: ${units} units` : '';
    const more = agents.length - MOST_AGENTS;
    return [
      `${subject}${count} ${why}`,
      ...agents
        .slice(0, MOST_AGENTS)
        .map(({ name, reason }) => `  ${name}: ${reason || 'has room'}`),
      ...(more > 0 ? [`  and ${more} more agents`] : []),
      ...unblock.map((change) => `  would help: ${change}`),
      ...timeLines(explanation),
    ];
  });
  return summary === '' ? lines : [summary, ...lines];
}

function timeLines({ state, startInMs, endInMs }: WireExplanation): string[] {
  switch (state) {
    case ExplainedState.EXPLAINED_STATE_WAITING:
      return [
        `  starts: ${startInMs === undefined ? 'unknown' : `in about ${roughly(startInMs)}`}`,
      ];
    case ExplainedState.EXPLAINED_STATE_BLOCKED:
      return startInMs === undefined ? [] : [`  starts: not before ${roughly(startInMs)} from now`];
    case ExplainedState.EXPLAINED_STATE_HELD:
      return [`  ends: ${endInMs === undefined ? 'unknown' : `in about ${roughly(endInMs)}`}`];
    default:
      return [];
  }
}
