import { describe, expect, test } from 'vitest';
import { parseStepsSpec } from '../../../cli/steps-spec.ts';
import { Step } from '../../../proto/gen/furrow/v1/step.ts';

const parse = (document: unknown) => parseStepsSpec(JSON.stringify(document), '/jobs/job.json');
const hello = { name: 'hi', task: { command: { argv: ['echo', 'hi'] } } };
const DIGEST = 'a'.repeat(64);

test('a document becomes steps as the protocol has them', () => {
  const spec = parse({
    name: 'night',
    priority: 5,
    steps: [
      {
        ...hello,
        parameters: { values: { values: ['a', 'b'] } },
        inputs: [
          { file: { name: 'in', sha256: DIGEST, sizeBytes: '9007199254740991' } },
          { outputs: { step: 'other', pattern: '*' } },
          { item: true },
        ],
        outputs: [{ pattern: 'out-*', keep: true }],
        demand: { cpuMillis: 500 },
      },
    ],
  });
  expect(spec).toMatchObject({ name: 'night', priority: 5, localInputs: [] });
  const [step] = spec.steps([]);
  expect(step).toMatchObject({
    parameters: { kind: { $case: 'values', value: { values: ['a', 'b'] } } },
    task: { kind: { $case: 'command', value: { argv: ['echo', 'hi'], environment: {} } } },
    inputs: [
      { kind: { $case: 'file', value: { sizeBytes: Number.MAX_SAFE_INTEGER } } },
      { kind: { $case: 'outputs', value: { step: 'other', pattern: '*' } } },
      { kind: { $case: 'item', value: true } },
    ],
    outputs: [{ pattern: 'out-*', keep: true, optional: false }],
    demand: { cpuMillis: 500, ramBytes: 0, attributes: [] },
  });
  // Nothing is lost on the wire.
  expect(Step.decode(Step.encode(step!).finish())).toEqual(step);
});

test('local inputs are found once, relative to the document, and replaced by what was uploaded', () => {
  const spec = parse({
    steps: [
      { ...hello, inputs: [{ path: 'a.txt' }, { path: '../b.txt', name: 'c.txt' }] },
      { ...hello, name: 'again', inputs: [{ path: 'a.txt' }] },
    ],
  });
  expect(spec.localInputs).toEqual([
    { path: '/jobs/a.txt', name: undefined },
    { path: '/b.txt', name: 'c.txt' },
  ]);
  const [a, b] = ['a', 'b'].map((name) => ({ name, sha256: DIGEST, sizeBytes: 1 }));
  const steps = spec.steps([a!, b!]);
  expect(steps.map((step) => step.inputs)).toEqual([
    [{ kind: { $case: 'file', value: a } }, { kind: { $case: 'file', value: b } }],
    [{ kind: { $case: 'file', value: a } }],
  ]);
});

describe('a mistake is named by its path', () => {
  const step = (fields: object): object => ({ steps: [{ ...hello, ...fields }] });
  test.each([
    ['no steps', { steps: [] }, 'steps: needs at least one step'],
    ['a list', [], 'the document: expected object, received array'],
    [
      'a misspelt field',
      step({ demand: { cpuMilis: 1 } }),
      'steps[0].demand.cpuMilis: unknown field',
    ],
    ['a field at the top', { ...step({}), nmae: 'x' }, 'nmae: unknown field'],
    ['a wrong type', step({ demand: { gpus: 'one' } }), 'steps[0].demand.gpus: expected number'],
    ['no task', { steps: [{ name: 'x' }] }, 'steps[0].task: expected object, received undefined'],
    ['an empty task', step({ task: {} }), 'steps[0].task: needs exactly one of command, noop'],
    [
      'two tasks',
      step({ task: { noop: {}, command: { argv: ['x'] } } }),
      /steps\[0\]\.task: needs exactly one of command, noop, split, .*; there are command and noop/,
    ],
    [
      'no program',
      step({ task: { command: { argv: [] } } }),
      'steps[0].task.command.argv: must name',
    ],
    ['a negative size', step({ demand: { ramBytes: -1 } }), 'steps[0].demand.ramBytes: '],
    [
      'a bad digest',
      step({ inputs: [{ file: { name: 'x', sha256: 'A' } }] }),
      'inputs[0].file.sha256',
    ],
  ])('%s', (_, document, words) => {
    expect(() => parse(document)).toThrow(words);
  });

  test('what is no JSON says so', () => {
    expect(() => parseStepsSpec('{', 'standard input')).toThrow(/^standard input is not JSON: /);
  });
});
