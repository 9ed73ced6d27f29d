import { expect, test } from 'vitest';
import { simulateYear, type YearReport } from './simulated-year.ts';

const SIZE = { seed: 1, days: 14, boxes: 80 };

test('two weeks of eighty machines: every promise is kept, and what is meant to happen does', async () => {
  const report = await simulateYear(SIZE);
  expect(report.complaints).toEqual([]);
  expect(report.openJobs).toBe(0);
  expect(report.counts.jobs).toBeGreaterThan(20);
  expect(report.counts.attempts).toBeGreaterThan(report.counts.units);
  for (const event of ['sleep', 'game', 'kernelCrash', 'fullDisk', 'coordinator killed']) {
    expect(report.events.get(event)).toBeGreaterThan(0);
  }
  const kinds = ['lost', 'evicted', 'infrastructure', 'out-of-memory', 'failed', 'bad-output'];
  expect(kinds.filter((kind) => report.ends.has(kind)).length).toBeGreaterThan(3);
});

test('a seed replays exactly, and differs from every other', async () => {
  const digestOf = async (seed: number): Promise<YearReport['digest']> => {
    return (await simulateYear({ ...SIZE, days: 2, seed })).digest;
  };
  const [once, again, other] = [await digestOf(1), await digestOf(1), await digestOf(2)];
  expect(again).toBe(once);
  expect(other).not.toBe(once);
});
