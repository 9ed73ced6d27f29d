import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { boundLog } from '../../../../cli/up/bound-log.ts';
import type { Clock } from '../../../../kit/clock.ts';

let folder: string;
let path: string;
/** As another process has it open. */
let writer: number;
let due: (() => void) | undefined;

const clock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  after: (_delayMs, callback) => {
    due = callback;
    return () => (due = undefined);
  },
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-log-'));
  path = join(folder, 'role.log');
  writer = openSync(path, 'a');
});
afterEach(async () => {
  closeSync(writer);
  await rm(folder, { recursive: true, force: true });
});

/** The next look at the log, to its end. */
async function look(): Promise<void> {
  const before = due;
  due = undefined;
  before?.();
  await expect.poll(() => due).toBeDefined();
}

test('a log that grows while its role runs is cut, and its last content kept', async () => {
  const stop = boundLog(path, clock, 1_000);
  writeSync(writer, 'a'.repeat(900));
  await look();
  expect(statSync(path).size).toBe(900);
  writeSync(writer, 'b'.repeat(900));
  await look();
  expect(statSync(path).size).toBe(0);
  expect(await readFile(`${path}.1`, 'utf8')).toBe('a'.repeat(900) + 'b'.repeat(900));
  // The writer goes on in the same file, from its beginning.
  writeSync(writer, 'c');
  expect(await readFile(path, 'utf8')).toBe('c');
  stop();
  expect(due).toBeUndefined();
});
