/** An explanation on a screen: of each unit, or units that stand alike, one paragraph. */
import {
  AgentAnswerState,
  ExplainedState,
  type AgentAnswer,
  type Explanation,
  type ExplainResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { formatCount, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { printable, textWidth } from './text-width.ts';
import { wrapText } from './wrap.ts';

/** More agents than that say nothing that these have not said: --json has them all. */
const MOST_AGENTS = 20;
/** Reasons stand in a column of their own where there is room for one. */
const ROOMY_COLUMNS = 72;
const LONGEST_PADDED_NAME = 24;

export function explainLines(
  { summary, explanations }: ExplainResponse,
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  const [first] = explanations;
  const isOneUnit = first !== undefined && summary.startsWith(first.subject);
  return [
    ...(isOneUnit ? [] : wrapText(summary, columns, 2)),
    ...explanations.flatMap((explanation) => paragraph(explanation, style, columns, nowMs)),
  ];
}

function paragraph(
  explanation: Explanation,
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  const { subject, units, why, unblock } = explanation;
  const count = units > 1 ? `: ${formatCount(units, 'unit')}` : '';
  const [head = '', ...rest] = wrapText(`${subject}${count} ${why}`, columns, 2);
  const notes = [
    ...unblock.map((change, at) => `${at === 0 ? 'would help' : 'or'}: ${change}`),
    ...timeNotes(explanation, nowMs),
  ];
  return [
    style.bold(subject) + head.slice(subject.length),
    ...rest,
    ...agentLines(explanation.agents, style, columns),
    ...notes.flatMap((note) => wrapText(`  ${note}`, columns, 4)),
  ];
}

function agentLines(
  agents: readonly AgentAnswer[],
  style: Style,
  columns: number | undefined,
): string[] {
  const shown = agents.slice(0, MOST_AGENTS);
  const names = shown.map(({ name }) => printable(name));
  const isRoomy = columns === undefined || columns >= ROOMY_COLUMNS;
  const widest = isRoomy ? Math.max(0, ...names.map(textWidth)) : 0;
  const width = Math.min(widest, LONGEST_PADDED_NAME);
  const lines = shown.flatMap(({ state, reason }, at) => {
    const name = names[at] ?? '';
    const title = isRoomy
      ? `  ${name}${' '.repeat(Math.max(0, width - textWidth(name)))}  `
      : `  ${name}: `;
    const [first = '', ...rest] = wrapText(
      title + (reason || 'has room for it'),
      columns,
      isRoomy ? width + 4 : 4,
    );
    const painted = paintName(name, state, style);
    return [first.replace(name, () => painted), ...rest];
  });
  const more = agents.length - shown.length;
  return more > 0 ? [...lines, `  and ${formatCount(more, 'agent')} more, told by --json`] : lines;
}

function paintName(name: string, state: AgentAnswerState, style: Style): string {
  switch (state) {
    case AgentAnswerState.AGENT_ANSWER_STATE_FITS:
      return style.green(name);
    case AgentAnswerState.AGENT_ANSWER_STATE_TOO_SMALL:
    case AgentAnswerState.AGENT_ANSWER_STATE_LACKS:
      return style.dim(name);
    default:
      return style.yellow(name);
  }
}

function timeNotes(
  { state, startInMs, endInMs, retryAtMs, sinceMs }: Explanation,
  nowMs: number,
): string[] {
  switch (state) {
    case ExplainedState.EXPLAINED_STATE_WAITING:
      return [`starts: ${startInMs === undefined ? 'unknown' : inAbout(startInMs)}`];
    case ExplainedState.EXPLAINED_STATE_BLOCKED:
      return startInMs === undefined
        ? []
        : [`starts: not before ${formatDuration(startInMs)} from now`];
    case ExplainedState.EXPLAINED_STATE_RETRYING:
      return [
        `starts: not before ${timeOfDay(retryAtMs)}, in ${formatDuration(retryAtMs - nowMs)}`,
      ];
    case ExplainedState.EXPLAINED_STATE_HELD: {
      const ends = endInMs === undefined ? 'unknown' : inAbout(endInMs);
      const since =
        sinceMs === 0
          ? []
          : [`since: ${timeOfDay(sinceMs)}, for ${formatDuration(nowMs - sinceMs)}`];
      return [...since, `ends: ${ends}`];
    }
    default:
      return [];
  }
}

function inAbout(ms: number): string {
  return ms < 1_000 ? 'any moment' : `in about ${formatDuration(Math.round(ms / 1_000) * 1_000)}`;
}

/** `12:04:10`, by this machine's clock. */
function timeOfDay(atMs: number): string {
  return new Date(atMs).toTimeString().slice(0, 8);
}
