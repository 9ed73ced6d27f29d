import { expect, test } from 'vitest';
import {
  commandOutcome,
  commandRequest,
  parseProgressLine,
} from '../../../../agent/runners/command.ts';

const work = { unit: 7, value: 'a b', item: 'piece-00001.mkv', directory: '/work' };

test('index, value and item are replaced in arguments and variables, once', () => {
  const task = {
    argv: ['render', '--frame={index}', '{item}', '{value}{index}', '{other}'],
    environment: { SHOT: '{value}', '{index}': '{{item}}' },
  };
  expect(commandRequest(task, { ...work, value: '{index}' })).toEqual({
    program: 'render',
    args: ['--frame=7', 'piece-00001.mkv', '{index}7', '{other}'],
    cwd: '/work',
    environment: { SHOT: '{index}', '{index}': '{piece-00001.mkv}' },
  });
});

test.each([
  ['furrow-progress: 0.42 48 fps', { fraction: 0.42, note: '48 fps' }],
  ['furrow-progress:.5', { fraction: 0.5, note: '' }],
  ['furrow-progress: 7', { fraction: 1, note: '' }],
  ['furrow-progress: half', null],
  ['see furrow-progress: 0.5', null],
])('%s', (line, expected) => {
  expect(parseProgressLine(line)).toEqual(expected);
});

test('how a program ended is named with its last word', () => {
  const ended = { exitCode: 0, signal: null, stderrTail: ['warning'] };
  expect(commandOutcome('x', ended)).toEqual({ state: 'succeeded' });
  const message = (result: Partial<Parameters<typeof commandOutcome>[1]>): string => {
    const outcome = commandOutcome('x', { ...ended, ...result });
    return outcome.state === 'failed' ? outcome.message : '';
  };
  expect(message({ exitCode: 2, stderrTail: ['first', 'last', ' '] })).toBe(
    'x exited with 2: last',
  );
  expect(message({ exitCode: 2, stderrTail: [] })).toBe('x exited with 2');
  expect(message({ exitCode: null, signal: 'SIGKILL' })).toBe('x was ended by SIGKILL: warning');
});
