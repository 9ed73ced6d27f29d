import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OutboxLog } from '../../../agent/outbox-log.ts';
import { createLog } from '../../../kit/log.ts';
import type { Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

let folder: string;
let open: OutboxLog[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-outbox-'));
  open = [];
});

afterEach(async () => {
  await Promise.all(open.map((log) => log.close()));
  rmSync(folder, { recursive: true, force: true });
});

const path = (): string => join(folder, 'results.log');

function openLog(): OutboxLog {
  const log = new OutboxLog(folder, createLog({ role: 'test', level: 'silent' }));
  open.push(log);
  return log;
}

const saveAll = (log: OutboxLog, counters: readonly number[]): Promise<unknown> =>
  Promise.all(counters.map((counter) => log.save(resultOf(counter))));

const removeAll = (log: OutboxLog, counters: readonly number[]): Promise<unknown> =>
  Promise.all(counters.map((counter) => log.remove(resultOf(counter).token!)));

/** What a process that starts now would find. */
const onDisk = async (): Promise<number[]> =>
  (await openLog().load()).map(({ token }) => token!.counter);

/** A result of so many bytes, more or less. */
function largeResult(counter: number, bytes: number): Result {
  const value = { kind: 'failed', message: 'x'.repeat(bytes) };
  return { ...resultOf(counter), outcome: { $case: 'failure', value } };
}

test('what was saved is on disk once that was said, without the log being closed', async () => {
  const log = openLog();
  await log.save(resultOf(1));
  await saveAll(log, [2, 3]);
  expect(await openLog().load()).toEqual([resultOf(1), resultOf(2), resultOf(3)]);
});

test('what was removed does not come back after an orderly end', async () => {
  const log = openLog();
  await saveAll(log, [1, 2, 3]);
  await removeAll(log, [2]);
  await log.close();
  expect(await onDisk()).toEqual([1, 3]);
});

test('a result put in the place of another is the one that comes back', async () => {
  const log = openLog();
  await log.save(resultOf(1));
  await log.save(largeResult(1, 10));
  expect(await openLog().load()).toEqual([largeResult(1, 10)]);
});

test('once all is acknowledged the file is written from its start, and nothing old shows', async () => {
  const log = openLog();
  await saveAll(log, [1, 2, 3, 4, 5]);
  const { size } = statSync(path());
  for (let round = 1; round <= 400; round += 1) {
    await removeAll(log, round === 1 ? [1, 2, 3, 4, 5] : [round * 10]);
    await log.save(resultOf((round + 1) * 10));
  }
  expect(await onDisk()).toEqual([4_010]);
  expect(statSync(path()).size).toBe(size);
});

test('all acknowledged: an orderly end leaves nothing', async () => {
  const log = openLog();
  await saveAll(log, [1, 2]);
  await removeAll(log, [1, 2]);
  await log.close();
  expect(await onDisk()).toEqual([]);
});

test('a full file is written anew with what is unreported', async () => {
  const log = openLog();
  for (let counter = 1; counter <= 30; counter += 1) {
    await log.save(largeResult(counter, 100_000));
    if (counter % 3 !== 0) await removeAll(log, [counter]);
  }
  expect(await onDisk()).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
});

test('a torn tail costs the results in it, and no others', async () => {
  const log = openLog();
  await log.save(resultOf(1));
  const before = readFileSync(path());
  await log.save(resultOf(2));
  const after = readFileSync(path());
  const end = after.findLastIndex((byte) => byte !== 0) + 1;
  const start = before.findLastIndex((byte) => byte !== 0) + 1;
  for (let at = start; at < end; at += 1) {
    const torn = Buffer.from(after);
    torn.fill(0, at);
    writeFileSync(path(), torn);
    expect(await onDisk()).toEqual([1]);
  }
  truncateSync(path(), end - 1);
  expect(await onDisk()).toEqual([1]);
});

test('a log that is rubbish is no reason not to start', async () => {
  writeFileSync(path(), Buffer.alloc(1_000, 0xa5));
  const log = openLog();
  expect(await log.load()).toEqual([]);
  await log.save(resultOf(1));
  expect(await onDisk()).toEqual([1]);
});

test('a disk that fails is said, and what could be saved later is there', async () => {
  const log = openLog();
  await log.save(resultOf(1));
  // The file is full and the next one cannot be made.
  rmSync(folder, { recursive: true });
  await expect(log.save(largeResult(2, 2_000_000))).rejects.toThrow(/ENOENT/);
  mkdirSync(folder);
  await log.save(resultOf(3));
  expect(await onDisk()).toEqual([1, 3]);
});
