import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Tail } from '../../../../coordinator/journal/chain.ts';
import {
  checkKnownCommit,
  checkKnownEnd,
  KnownTailFile,
  readKnownTail,
} from '../../../../coordinator/journal/known-tail.ts';
import type { StoredCommit } from '../../../../coordinator/journal/commit-codec.ts';
import type { Clock } from '../../../../kit/clock.ts';
import { createLog } from '../../../../kit/log.ts';

const log = createLog({ role: 'test', level: 'silent' });
const HASH = 'ab'.repeat(32);
const TAIL: Tail = { farmId: 'f', epoch: 2, number: 5, sequence: 5, hash: HASH };
const KNOWN = { farmId: 'f', epoch: 2, sequence: 5, hash: HASH };

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'furrow-known-'));
  path = join(directory, 'coordinator', 'identity.json');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Its timers end when the test says so. */
function manualClock(): Clock & { readonly timers: { delayMs: number; fire: () => void }[] } {
  const timers: { delayMs: number; fire: () => void }[] = [];
  return {
    timers,
    monotonicMs: () => 0,
    wallMs: () => 0,
    after: (delayMs, fire) => {
      const timer = { delayMs, fire };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
}

describe('the known tail', () => {
  test('is none at the first start', async () => {
    expect(await readKnownTail(path, log)).toBeUndefined();
  });

  test('comes back after close, for its owner only', async () => {
    const file = new KnownTailFile(path, manualClock(), log);
    file.note({ ...TAIL, sequence: 4 });
    file.note(TAIL);
    await file.close();
    expect(await readKnownTail(path, log)).toEqual(KNOWN);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('is written once for the many commits of a second', async () => {
    const clock = manualClock();
    const file = new KnownTailFile(path, clock, log);
    for (let sequence = 1; sequence <= 100; sequence++) file.note({ ...TAIL, sequence });
    expect(clock.timers.map(({ delayMs }) => delayMs)).toEqual([1_000]);
    await expect(readFile(path)).rejects.toThrow('ENOENT');
    clock.timers[0]?.fire();
    await file.close();
    expect(await readKnownTail(path, log)).toMatchObject({ sequence: 100 });
  });

  test('that is damaged is taken for none', async () => {
    const file = new KnownTailFile(path, manualClock(), log);
    file.note(TAIL);
    await file.close();
    await writeFile(path, '{"farmId":"f","seq');
    expect(await readKnownTail(path, log)).toBeUndefined();
  });

  test('refuses a journal that ends before it', () => {
    expect(() => checkKnownEnd(KNOWN, 5)).not.toThrow();
    expect(() => checkKnownEnd(KNOWN, 4)).toThrow(/ends at sequence 4, .*--accept-restored-store/);
  });

  test('refuses another commit in its place, and another farm', () => {
    const commit = { farmId: 'f', sequence: 5, hash: HASH } as StoredCommit;
    expect(() => checkKnownCommit(KNOWN, commit)).not.toThrow();
    expect(() => checkKnownCommit(KNOWN, { ...commit, hash: 'cd' })).toThrow('sequence 5');
    expect(() => checkKnownCommit(KNOWN, { ...commit, farmId: 'g' })).toThrow('farm g');
  });
});
