import { expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { Input, StepSpec } from '../../../../coordinator/domain/task.ts';
import { countOf, fileNamed, forEach, step } from '../../../support/farm-driver.ts';

const ROUNDS = 20;

function input(kind: Input['kind']): StepSpec['inputs'] {
  return [{ kind }];
}

function files(...names: string[]): StepSpec['inputs'] {
  return names.map((name) => ({ kind: { $case: 'file', value: fileNamed(name) } }));
}

function command(...argv: string[]): StepSpec['task'] {
  return { kind: { $case: 'command', value: { argv, environment: {} } } };
}

test('a film’s steps are fine', () => {
  const steps = [
    step('split', { inputs: input({ $case: 'file', value: fileNamed('source.mp4') }) }),
    step('encode', {
      parameters: forEach('split', 'piece-*'),
      inputs: input({ $case: 'item', value: true }),
    }),
    step('concat', {
      inputs: input({ $case: 'outputs', value: { step: 'encode', pattern: '*' } }),
    }),
  ];
  expect(faultOfSteps(steps)).toBeUndefined();
});

test('a job’s time to check grows with its dependencies, not with their square', () => {
  const everyPair = (count: number): StepSpec[] =>
    Array.from({ length: count }, (_, n) =>
      step(`s${n}`, { dependsOn: Array.from({ length: n }, (_, before) => `s${before}`) }),
    );
  const timeOf = (steps: readonly StepSpec[]): number => {
    const startedMs = performance.now();
    expect(faultOfSteps(steps)).toBeUndefined();
    return performance.now() - startedMs;
  };
  const [few, many] = [everyPair(250), everyPair(1_000)];
  // Whatever else the machine does only adds to a time: the shortest of several is what the work takes.
  let [fewMs, manyMs] = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS && !(manyMs / fewMs < 28); round += 1) {
    for (let time = 0; time < 4; time += 1) fewMs = Math.min(fewMs, timeOf(few));
    manyMs = Math.min(manyMs, timeOf(many));
  }
  // Sixteen times the dependencies; it was over thirty times the time.
  expect(manyMs / fewMs).toBeLessThan(28);
});

const WRONG: readonly [string, readonly StepSpec[], string][] = [
  ['no steps', [], 'no steps'],
  ['a bad name', [step('a b')], 'step name "a b"'],
  ['one name twice', [step('a'), step('a')], 'two steps are named "a"'],
  ['an unknown dependency', [step('a', { dependsOn: ['b'] })], '"b", which is no step'],
  [
    'more units together than a job may have',
    Array.from({ length: 1_000 }, (_, n) => step(`s${n}`, { parameters: countOf(10_000_000) })),
    'the job has 10000000000 units',
  ],
  ['itself as dependency', [step('a', { dependsOn: ['a'] })], 'circle'],
  ['a circle', [step('a', { dependsOn: ['b'] }), step('b', { dependsOn: ['a'] })], 'circle'],
  ['a fan-out over itself', [step('a', { parameters: forEach('a', '*') })], 'circle'],
  [
    'a circle through outputs',
    [
      step('a', { inputs: input({ $case: 'outputs', value: { step: 'b', pattern: '*' } }) }),
      step('b', { parameters: forEach('a', '*') }),
    ],
    'circle',
  ],
  [
    'a fan-out over nothing',
    [step('a', { parameters: forEach('x', '*') })],
    '"x", which is no step',
  ],
  [
    'VRAM on no GPU',
    [step('a', { demand: { ...NO_DEMAND, vramBytes: 2 ** 30 } })],
    'asks for 1073741824 bytes of VRAM on no GPU: say how many',
  ],
  ['no units', [step('a', { parameters: countOf(0) })], 'count of 0'],
  ['too many units', [step('a', { parameters: countOf(1e9) })], 'count of 1000000000'],
  [
    'no values',
    [step('a', { parameters: { kind: { $case: 'values', value: { values: [] } } } })],
    'empty list of values',
  ],
  ['no task', [step('a', { task: undefined })], 'has no task'],
  ['no program', [step('a', { task: command() })], 'names no program'],
  ['an input of no kind', [step('a', { inputs: input(undefined) })], 'input of no kind'],
  [
    'an input that leaves its directory',
    [step('a', { inputs: input({ $case: 'file', value: fileNamed('../x') }) })],
    'leaves its directory',
  ],
  ['two inputs of one name', [step('a', { inputs: files('x', 'y', 'x') })], 'two inputs named "x"'],
  [
    'inputs that some disks take for one',
    [step('a', { inputs: files('Frame', 'fRAME') })],
    '"Frame" and "fRAME", which some disks take for one',
  ],
  [
    'a folder that some disks take for a file',
    [step('a', { inputs: files('a/b', 'A') })],
    'where another needs',
  ],
  [
    'a film that leaves its directory',
    [
      step('a', {
        task: { kind: { $case: 'concat', value: { source: 'a.mov', film: '../b.mp4' } } },
      }),
    ],
    'leaves its directory',
  ],
  [
    'a source that is elsewhere',
    [
      step('a', {
        task: { kind: { $case: 'split', value: { source: '/etc/passwd', pieceMs: 1 } } },
      }),
    ],
    'is absolute',
  ],
  ['a file and a folder', [step('a', { inputs: files('x', 'x/y') })], '"x" where another needs'],
  ['a folder and a file', [step('a', { inputs: files('x/y/z', 'x') })], '"x" where another needs'],
  [
    'an input without a digest',
    [step('a', { inputs: input({ $case: 'file', value: { ...fileNamed('x'), sha256: '' } }) })],
    'sha256',
  ],
  [
    'a fan-out input without a fan-out',
    [step('a', { inputs: input({ $case: 'item', value: true }) })],
    'does not fan out',
  ],
  [
    'an output pattern that is absolute',
    [step('a', { outputs: [{ pattern: '/tmp/*', keep: true, optional: false }] })],
    'is absolute',
  ],
];

test.each(WRONG)('%s is refused, and why is said in one line', (_, steps, why) => {
  const fault = faultOfSteps(steps);
  expect(fault).toContain(why);
  expect(fault).not.toContain('\n');
});
