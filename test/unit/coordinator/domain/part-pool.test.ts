import { expect, test } from 'vitest';
import { PartPool } from '../../../../coordinator/domain/part-pool.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';

function spec(word: string): StepSpec {
  return {
    name: 'run',
    dependsOn: ['before'],
    parameters: { kind: { $case: 'count', value: 3 } },
    task: { kind: { $case: 'command', value: { argv: ['echo', word], environment: { A: '1' } } } },
    inputs: [{ kind: { $case: 'file', value: { name: 'a', sha256: 'ab', sizeBytes: 1 } } }],
    outputs: [{ pattern: '*.png', keep: true, optional: false }],
    demand: undefined,
    limits: { maxAttempts: 0, runTimeoutMs: 5, stallTimeoutMs: 0 },
  };
}

test('equal parts are one, and every spec is equal to what it was', () => {
  const parts = new PartPool();
  const [one, two] = [parts.spec(spec('one')), parts.spec(spec('two'))];
  expect([one, two]).toEqual([spec('one'), spec('two')]);
  expect(one.outputs).toBe(two.outputs);
  expect(one.limits).toBe(two.limits);
  expect(parts.limits(one.limits)).toBe(parts.limits(two.limits));
});

test('what a step leaves open gets the default of the farm', () => {
  expect(new PartPool().limits(spec('one').limits)).toEqual({
    maxAttempts: 3,
    runTimeoutMs: 5,
    stallTimeoutMs: 120_000,
  });
});

test('more parts than it keeps are taken all the same', () => {
  const parts = new PartPool();
  for (let i = 0; i < 20_000; i += 1) expect(parts.text(`word ${i}`)).toBe(`word ${i}`);
});
