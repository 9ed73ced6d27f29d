import { expect, test } from 'vitest';
import { jobsToArchive } from '../../../../coordinator/domain/retention.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const WEEK = { jobMs: 7 * DAY_MS, mostEnded: 1_000 };

function farmOf(...states: readonly ('open' | 'cancelled' | 'failed')[]): FarmDriver {
  const driver = new FarmDriver();
  for (const state of states) {
    const { number } = driver.submit([step('work')]);
    const atMs = driver.now.wallMs;
    if (state === 'cancelled') driver.ask({ type: 'CancelJob', job: number, reason: '' });
    if (state === 'failed') {
      driver.record({ type: 'JobEnded', job: number, succeeded: false, reason: 'broken', atMs });
    }
  }
  return driver;
}

function due(driver: FarmDriver, retention: Parameters<typeof jobsToArchive>[1]): number[] {
  return jobsToArchive(driver.farm, retention, driver.now.wallMs).map((job) => job.number);
}

test('ended jobs go after their time, together with those that come due soon after', () => {
  const driver = farmOf('cancelled', 'open');
  driver.nowMs += DAY_MS / 2;
  driver.ask({ type: 'CancelJob', job: driver.submit([step('work')]).number, reason: '' });
  driver.nowMs += 6.5 * DAY_MS;
  expect(due(driver, WEEK)).toEqual([]);
  driver.nowMs += 0.9 * DAY_MS;
  expect(due(driver, WEEK)).toEqual([1, 3]);
});

test('a failed job stays as long as it may be retried, however short jobs are kept', () => {
  const driver = farmOf('cancelled', 'failed');
  driver.nowMs += 6.9 * DAY_MS;
  expect(due(driver, { jobMs: 1_000, mostEnded: 1_000 })).toEqual([1]);
  driver.nowMs += 0.2 * DAY_MS;
  expect(due(driver, { jobMs: 1_000, mostEnded: 1_000 })).toEqual([1, 2]);
});

test('too many make room before their time: who ended first goes first, failed ones last', () => {
  const ended = Array.from({ length: 12 }, () => 'cancelled' as const);
  const driver = farmOf('failed', ...ended);
  const few = { jobMs: 7 * DAY_MS, mostEnded: 10 };
  // Who has just ended is still looked at.
  expect(due(driver, few)).toEqual([]);
  driver.nowMs += 60_000;
  expect(due(driver, few)).toEqual([2, 3, 4, 5]);
  expect(due(driver, { ...few, mostEnded: 0 })).toHaveLength(13);
});

test('a segment holds so many jobs, and a large job is alone in its own', () => {
  const driver = new FarmDriver();
  for (let i = 0; i < 3; i += 1) {
    const { number } = driver.submit([step('work', { parameters: countOf(i === 1 ? 60_000 : 1) })]);
    driver.ask({ type: 'CancelJob', job: number, reason: '' });
  }
  driver.nowMs += 60_000;
  expect(due(driver, { jobMs: 0, mostEnded: 1_000 })).toEqual([1]);
});
