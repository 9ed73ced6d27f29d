import { beforeEach, expect, test } from 'vitest';
import { MIN_RESULTS, RunTimes } from '../../../../coordinator/domain/run-times.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

const KEY = '1 work';
const stepOf = (number: number) => driver.job(number).steps[0]!;

test('what is usual is the middle of the latest: one odd unit moves the mean, and not that', () => {
  driver.submit([step('work')]);
  const times = new RunTimes();
  for (let told = 1; told < MIN_RESULTS; told += 1) times.note(KEY, 1_000, [1_000]);
  expect(times.usualMs(1, stepOf(1))).toBeUndefined();
  times.note(KEY, 90_000, [90_000]);
  expect(times.usualMs(1, stepOf(1))).toBe(1_000);
  expect(times.stepMs(1, stepOf(1))).toBeGreaterThan(20_000);
  // The step has become slower for good.
  for (let told = 0; told < 40; told += 1) times.note(KEY, 5_000, [5_000]);
  expect(times.usualMs(1, stepOf(1))).toBe(5_000);
});

test('a result that is offered again does not count twice for what is usual', () => {
  driver.submit([step('work', { parameters: countOf(4) })]);
  driver.place();
  driver.beatHolding('a1');
  const leases = driver.leasesOf('a1');
  driver.runMs = 1_000;
  driver.report(leases.slice(0, 2));
  driver.report(leases.slice(0, 2));
  expect(driver.liveness.runTimes.usualMs(1, stepOf(1))).toBeUndefined();
  driver.report(leases.slice(2, 3));
  expect(driver.liveness.runTimes.usualMs(1, stepOf(1))).toBe(1_000);
});

test('a job leaves behind what its class, and steps that do alike, took; not what is its own', () => {
  driver.runMs = 4_000;
  const job = driver.submit([step('work')]);
  driver.runAll();
  expect(job.end?.state).toBe('succeeded');
  const { runTimes } = driver.liveness;
  expect(runTimes.stepMs(1, stepOf(1))).toBeUndefined();
  driver.submit([step('other')]);
  expect(runTimes.expectedMs(2, stepOf(2))).toBe(4_000);
  expect(runTimes.measuredFor(stepOf(2).spec)).toEqual({ unitMs: 4_000, job: 1 });
});
