import { expect, test } from 'vitest';
import { assignmentsOf } from '../../../agent/assignment.ts';
import { LogFeed } from '../../../agent/log-feed.ts';
import { ProgressFeed } from '../../../agent/progress-feed.ts';
import { stepShare } from '../../support/work.ts';

const [one, two] = [
  stepShare({ counters: [1] }),
  stepShare({ jobId: 'j2', counters: [2] }),
].flatMap(assignmentsOf);

test('only the latest progress of a unit is sent, by job', () => {
  const feed = new ProgressFeed('agent');
  feed.set(one!, 0.1, 1, 'a');
  feed.set(one!, Number.NaN, 2.7, 'b');
  feed.set(two!, 7, 3, 'c');
  expect(feed.take()).toMatchObject([
    { jobId: 'j1', message: { units: [{ fraction: 0, counter: 2, note: 'b' }] } },
    { jobId: 'j2', message: { units: [{ fraction: 1, counter: 3, note: 'c' }] } },
  ]);
  expect(feed.take()).toEqual([]);
});

test('lines beyond what can be carried are counted, not kept', () => {
  const feed = new LogFeed('agent');
  for (let line = 0; line < 503; line += 1) feed.add(one!, `line ${line}`);
  const [batch] = feed.take(8, 1);
  expect(batch?.message.lines).toHaveLength(501);
  expect(batch?.message.lines.at(-1)).toBe('… 3 lines left out');
  expect(feed.take(8, 1)).toEqual([]);
});

test('lines of a batch that did not arrive are told as left out, however often it fails', () => {
  const feed = new LogFeed('agent');
  feed.add(one!, 'x');
  for (let tries = 0; tries < 3; tries += 1) feed.lost(feed.take(8, 1)[0]!);
  feed.add(one!, 'y');
  expect(feed.take(8, 1)[0]?.message.lines).toEqual(['y', '… 1 line left out']);
});

test('a batch stays below the limit of a message', () => {
  const feed = new LogFeed('agent');
  for (let line = 0; line < 100; line += 1) feed.add(one!, 'ü'.repeat(8_192));
  const lines = feed.take(8, 1)[0]?.message.lines ?? [];
  expect(Buffer.byteLength(lines.join())).toBeLessThan(1024 * 1024);
});
