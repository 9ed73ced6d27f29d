import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JobSubmitted } from '../../../../coordinator/domain/facts.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { packSteps, unpackSteps } from '../../../../coordinator/journal/step-columns.ts';
import { PackedSteps } from '../../../../proto/gen/furrow/journal/v1/steps.ts';
import { Step } from '../../../../proto/gen/furrow/v1/step.ts';
import { arbitraryFactOf } from '../../../support/arbitrary-fact.ts';
import { folderFilms, stepsOfFolder } from '../../../support/folder-films.ts';

/** As they are read back from a journal that holds them one by one. */
const plainly = (steps: readonly StepSpec[]): StepSpec[] =>
  steps.map((step) => Step.decode(Step.encode(step).finish()));
const asStored = (steps: readonly StepSpec[]): PackedSteps =>
  PackedSteps.decode(PackedSteps.encode(packSteps(steps)).finish());

const stepLists = arbitraryFactOf('JobSubmitted').map((fact) => (fact as JobSubmitted).steps);
/** Other names and numbers in the same places. */
const altered = (step: StepSpec, index: number): StepSpec => ({
  ...step,
  name: `${step.name}${index}`,
  dependsOn: step.dependsOn.map((name) => `${name}${index % 2}`),
  demand: step.demand && { ...step.demand, cpuMillis: index % 3, scratchBytes: index * 2 ** 40 },
});

describe('steps in columns', () => {
  test('come back as those do that are stored one by one', () => {
    fc.assert(
      fc.property(stepLists, fc.nat({ max: 8 }), (steps, copies) => {
        const many = Array.from({ length: copies }, (_, i) =>
          steps.map((step) => altered(step, i)),
        );
        const all = [...steps, ...many.flat()];
        expect(unpackSteps(asStored(all))).toEqual(plainly(all));
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test.each([
    ['an empty text and a zero come first', ['', 'b'], [0, 3]],
    ['a negative zero and halves', ['a', 'a'], [-0, 0.5]],
    ['numbers below zero', ['a', 'b'], [-2, 2 ** 53]],
  ])(
    'of values at their edges come back: %s',
    (_what, [one = '', two = ''], [first = 0, second = 0]) => {
      const step = (name: string, text: string, number: number): StepSpec => ({
        ...plainly([
          {
            name,
            dependsOn: [],
            parameters: undefined,
            task: undefined,
            inputs: [],
            outputs: [],
            demand: undefined,
            limits: undefined,
          },
        ])[0]!,
        task: {
          kind: {
            $case: 'encode',
            value: {
              video: {
                encoder: text,
                crf: 1,
                preset: '',
                width: 0,
                height: 0,
                threads: 1,
                targetSsim: number,
              },
            },
          },
        },
      });
      const steps = [step('a', one, first), step('b', two, second), step('c', one, second)];
      expect(unpackSteps(asStored(steps))).toEqual(plainly(steps));
    },
  );

  test('a folder of films has a group for each kind, and each text once', () => {
    const steps = stepsOfFolder(folderFilms(300));
    const { groups } = packSteps(steps);
    expect(groups).toHaveLength(6);
    expect(unpackSteps(asStored(steps))).toEqual(plainly(steps));
    const [split] = groups;
    // Written down in journals: never spelled another way.
    expect(split?.columns.map(({ places }) => places.map(({ keys }) => keys.join('.')))).toEqual([
      ['name'],
      ['task.kind.value.source', 'inputs.0.kind.value.name'],
      ['inputs.0.kind.value.sha256'],
      ['inputs.0.kind.value.sizeBytes'],
      ['demand.scratchBytes'],
    ]);
  });

  test('what is the same in all steps of a group is one object', () => {
    const [one, two] = unpackSteps(asStored(stepsOfFolder(folderFilms(300)))).filter(({ name }) =>
      name.startsWith('split-'),
    );
    expect(one?.outputs).toBe(two?.outputs);
    expect(one?.limits).toBe(two?.limits);
    expect(one?.inputs).not.toBe(two?.inputs);
  });

  const packed = (): PackedSteps => asStored(stepsOfFolder(folderFilms(4)));
  const [anyGroup] = packed().groups;
  const column = { places: [{ keys: ['name'] }], texts: ['a', 'b', 'c', 'd'], numbers: [] };
  const withColumn = (change: object): PackedSteps => ({
    groups: [{ first: anyGroup!.first, columns: [{ ...column, ...change }] }],
    order: [0, 0, 0, 0],
  });
  test.each<[string, PackedSteps, RegExp]>([
    ['a column too short', withColumn({ texts: ['a'] }), /another length/],
    ['a column of nothing', withColumn({ texts: [] }), /another length/],
    ['a place that is not there', withColumn({ places: [{ keys: ['nam'] }] }), /no place/],
    ['a place of another kind', withColumn({ places: [{ keys: ['demand'] }] }), /no place/],
    ['no place at all', withColumn({ places: [{ keys: [] }] }), /no place/],
    [
      'a place in what objects inherit',
      withColumn({ places: [{ keys: ['__proto__', 'name'] }] }),
      /no place/,
    ],
    ['a step of no group', { groups: [], order: [0] }, /no group/],
    [
      'more steps than a job may have',
      { ...withColumn({}), order: Array<number>(100_001).fill(0) },
      /100001 steps/,
    ],
  ])('%s is damage', (_what, steps, message) => {
    expect(() => unpackSteps(steps)).toThrow(message);
  });
});
