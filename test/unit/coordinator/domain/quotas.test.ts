import { beforeEach, expect, test } from 'vitest';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

const MIB = 2 ** 20;
const set = (over: { maxQueued?: number; maxStoredBytes?: number }) =>
  driver.ask({
    type: 'SetQuota',
    name: 'mia',
    maxQueued: over.maxQueued,
    maxStoredBytes: over.maxStoredBytes,
  });
const fileOf = (letter: string, sizeBytes: number) => ({
  name: `${letter}.bin`,
  sha256: letter.repeat(64),
  sizeBytes,
});
const withInput = (letter: string, sizeBytes: number): StepSpec =>
  step('work', {
    inputs: [{ kind: { $case: 'file', value: fileOf(letter, sizeBytes) } }],
    outputs: [{ pattern: '*', keep: true, optional: false }],
  });
const submit = (steps: readonly StepSpec[], owner = 'mia') =>
  driver.ask({
    type: 'SubmitJob',
    clientId: `c${driver.farm.lastJob + 1}`,
    requestHash: 'h',
    name: 'job',
    priority: 0,
    recipe: 'steps',
    steps,
    failures: undefined,
    owner,
    maxUnits: 0,
    missingBlobs: [],
  });

test('units that wait: no more are taken until some are gone; others are not held up', () => {
  set({ maxQueued: 10 });
  expect(submit([step('work', { parameters: countOf(8) })])).toMatchObject({ kind: 'job' });
  expect(submit([step('work', { parameters: countOf(3) })])).toEqual({
    kind: 'refused',
    code: 'failed-precondition',
    reason: 'OVER_QUOTA',
    message:
      'owner mia has 8 units waiting and may have 10; this job has 3: submit it when fewer wait',
  });
  expect(submit([step('work', { parameters: countOf(50) })], 'tom')).toMatchObject({ kind: 'job' });
  driver.ask({ type: 'CancelJob', job: 1, reason: '', missingBlobs: [] });
  expect(submit([step('work', { parameters: countOf(3) })])).toMatchObject({ kind: 'job' });
  set({ maxQueued: 0 });
  expect(submit([step('work', { parameters: countOf(500) })])).toMatchObject({ kind: 'job' });
});

test('bytes: each blob once, inputs and outputs, until the job is removed', () => {
  set({ maxStoredBytes: 10 * MIB });
  expect(submit([withInput('a', 6 * MIB)])).toMatchObject({ kind: 'job' });
  // The same film again takes no more room.
  expect(submit([withInput('a', 6 * MIB)])).toMatchObject({ kind: 'job' });
  expect(submit([withInput('b', 5 * MIB)])).toMatchObject({
    reason: 'OVER_QUOTA',
    message:
      'with this job owner mia would have 0.01 GiB stored and may have 0.01 GiB: remove jobs with furrow remove',
  });
  driver.place();
  const [lease] = driver.leasesOf('a1');
  driver.report([lease!], { state: 'succeeded', outputs: [fileOf('c', 4 * MIB)] });
  expect(submit([withInput('d', 1)])).toMatchObject({ reason: 'OVER_QUOTA' });
  driver.ask({ type: 'CancelJob', job: 2, reason: '', missingBlobs: [] });
  // What is left is the film that the first job made.
  expect(submit([withInput('d', 6 * MIB)])).toMatchObject({ kind: 'job' });
});

test.each([{ maxQueued: -1 }, { maxQueued: 0.5 }, { maxStoredBytes: Infinity }])(
  '%j is no quota',
  (over) => {
    expect(set(over)).toMatchObject({ kind: 'refused', reason: 'QUOTA_INVALID' });
  },
);
