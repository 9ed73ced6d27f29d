import { expect, test } from 'vitest';
import { explainLines } from '../../../../cli/output/explain-text.ts';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import { textWidth } from '../../../../cli/output/text-width.ts';
import { wrapText } from '../../../../cli/output/wrap.ts';
import {
  AgentAnswerState,
  ExplainedState,
  type AgentAnswer,
  type Explanation,
  type ExplainResponse,
} from '../../../../proto/gen/furrow/v1/job_service.ts';
import { fakeExplanation } from '../../../support/fake-farm.ts';

const NOW_MS = new Date(2026, 10, 30, 12, 4, 10).getTime();

function explanation(over: Partial<Explanation>): Explanation {
  return { ...fakeExplanation('j12/encode'), ...over };
}

function agent(
  name: string,
  reason: string,
  state = AgentAnswerState.AGENT_ANSWER_STATE_BUSY,
): AgentAnswer {
  return { agentId: name, name, state, reason, roomInMs: undefined };
}

function linesOf(explanations: readonly Explanation[], columns: number | undefined): string[] {
  const response: ExplainResponse = {
    id: 'j12',
    summary: 'j12 is running: 3 of 20 units are done',
    explanations,
    lines: [],
    hearsAgents: true,
    leader: '',
    ageMs: 0,
  };
  return explainLines(response, PLAIN_STYLE, columns, NOW_MS);
}

const WAITING = explanation({
  units: 12,
  why: 'wait: no agent has room for it now; 4 units go before it',
  agents: [
    agent(
      'rtx3060-den',
      'needs 9.1 GiB VRAM on one GPU; RTX 3060 has 7.5 of 12.0 GiB left (4.2 used by others, 0.3 kept free)',
    ),
    agent('nas', 'lacks encoder:h264_nvenc', AgentAnswerState.AGENT_ANSWER_STATE_LACKS),
  ],
  unblock: [
    'rtx3060-den when 2 of its units end, in about 4 min',
    'desk when that changes: it is drained',
  ],
  startInMs: 240_400,
});

test('in a pipe: one line each, reasons in a column', () => {
  expect(linesOf([WAITING], undefined)).toEqual([
    'j12 is running: 3 of 20 units are done',
    'j12/encode: 12 units wait: no agent has room for it now; 4 units go before it',
    '  rtx3060-den  needs 9.1 GiB VRAM on one GPU; RTX 3060 has 7.5 of 12.0 GiB left (4.2 used by others, 0.3 kept free)',
    '  nas          lacks encoder:h264_nvenc',
    '  would help: rtx3060-den when 2 of its units end, in about 4 min',
    '  or: desk when that changes: it is drained',
    '  starts: in about 4m 00s',
  ]);
});

test('on a narrow terminal: broken between words, what follows indented', () => {
  expect(linesOf([WAITING], 40)).toEqual([
    'j12 is running: 3 of 20 units are done',
    'j12/encode: 12 units wait: no agent has',
    '  room for it now; 4 units go before it',
    '  rtx3060-den: needs 9.1 GiB VRAM on one',
    '    GPU; RTX 3060 has 7.5 of 12.0 GiB',
    '    left (4.2 used by others, 0.3 kept',
    '    free)',
    '  nas: lacks encoder:h264_nvenc',
    '  would help: rtx3060-den when 2 of its',
    '    units end, in about 4 min',
    '  or: desk when that changes: it is',
    '    drained',
    '  starts: in about 4m 00s',
  ]);
});

test.each([40, 72, 80, 200])('nothing is wider than %i columns', (columns) => {
  const agents = Array.from({ length: 30 }, (_, at) =>
    agent(`box-${at}`, `holds ${at} units, the most it takes`),
  );
  const lines = linesOf([WAITING, explanation({ agents })], columns);
  expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(columns);
  expect(lines).toContain('  and 10 agents more, told by --json');
});

test.each<[string, Partial<Explanation>, string[]]>([
  [
    'a retry',
    { state: ExplainedState.EXPLAINED_STATE_RETRYING, retryAtMs: NOW_MS + 12_000 },
    ['starts: not before 12:04:22, in 12s'],
  ],
  [
    'a unit that runs',
    { state: ExplainedState.EXPLAINED_STATE_HELD, sinceMs: NOW_MS - 130_000, endInMs: 0 },
    ['since: 12:02:00, for 2m 10s', 'ends: any moment'],
  ],
  ['nothing known', { state: ExplainedState.EXPLAINED_STATE_WAITING }, ['starts: unknown']],
  [
    'a step that waits for another',
    { state: ExplainedState.EXPLAINED_STATE_BLOCKED, startInMs: 60_000 },
    ['starts: not before 1m 00s from now'],
  ],
  ['what has ended', { state: ExplainedState.EXPLAINED_STATE_ACCEPTED }, []],
])('times: %s', (_what, over, notes) => {
  expect(linesOf([explanation(over)], 80).slice(2)).toEqual(notes.map((note) => `  ${note}`));
});

test('what agents and programs wrote cannot steer the terminal', () => {
  const foul = agent('a\u001b[2Jb', 'x\u001b]0;title\u0007y\nz');
  expect(linesOf([explanation({ agents: [foul] })], undefined)).toContain('  ab  xy z');
});

test('words longer than the window stay whole', () => {
  expect(wrapText('a tool:averyveryverylongcapability b', 20, 2)).toEqual([
    'a',
    '  tool:averyveryverylongcapability',
    '  b',
  ]);
});
