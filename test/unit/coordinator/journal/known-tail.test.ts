import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Tail } from '../../../../coordinator/journal/chain.ts';
import {
  compareKnown,
  type JournalAtHand,
  KnownTailFile,
  type KnownTail,
  readKnownTail,
} from '../../../../coordinator/journal/known-tail.ts';
import type { Clock } from '../../../../kit/clock.ts';
import { createLog } from '../../../../kit/log.ts';

const log = createLog({ role: 'test', level: 'silent' });
const HASH = 'ab'.repeat(32);
const KNOWN: KnownTail = { farmId: 'f', epoch: 2, reignId: 'b2', sequence: 5, hash: HASH };
const TAIL: Tail = { ...KNOWN, farmId: 'f', hash: HASH, number: 5 };

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

  test('that was told is the last word, whatever is committed afterwards', async () => {
    const file = new KnownTailFile(path, manualClock(), log);
    const told = { farmId: 'f', epoch: 3, reignId: 'c3', sequence: 9, seenBy: 'agent box-1' };
    file.note(TAIL);
    await file.settle(told);
    file.note({ ...TAIL, sequence: 6 });
    await file.close();
    expect(await readKnownTail(path, log)).toEqual(told);
  });

  test('of a version before reigns had ids is read', async () => {
    await mkdir(dirname(path));
    await writeFile(path, `{"farmId":"f","epoch":2,"sequence":5,"hash":"${HASH}"}`);
    expect(await readKnownTail(path, log)).toEqual({ ...KNOWN, reignId: '' });
  });
});

describe('a journal compared with what is known of it', () => {
  const reign = (epoch: number, id: string, firstSequence: number, acceptsLoss = false) => {
    return { epoch, id, firstSequence, acceptsLoss };
  };
  const atHand = (changes: Partial<JournalAtHand['farm']> = {}, lastSequence = 8) => {
    const reigns = [reign(1, 'a1', 1), reign(2, 'b2', 4)];
    const farm = { farmId: 'f', epoch: 2, reigns, ...changes };
    return { farm, lastSequence, hashThere: HASH };
  };
  const faultOf = (journal: JournalAtHand): string => {
    const compared = compareKnown(KNOWN, journal);
    return compared.place === 'absent' ? compared.error.message : compared.place;
  };

  test('is the one', () => {
    expect(faultOf(atHand())).toBe('here');
    expect(faultOf(atHand({}, 5))).toBe('here');
  });

  test.each([
    ['ends before it', atHand({}, 4), 'it ends at 4'],
    ['is empty', atHand({ farmId: '' }, 0), 'the journal is empty'],
    ['is of another farm', atHand({ farmId: 'g' }), 'it is of farm g'],
    ['went on without it', atHand({ reigns: [reign(1, 'a1', 1)] }), 'but epoch 1 wrote that'],
    ['went on in a like epoch', atHand({ reigns: [reign(2, 'd4', 4)] }), 'another reign of the'],
    ['has another commit there', { ...atHand(), hashThere: 'cd' }, 'another commit stands there'],
  ])('%s: what was seen, what is there, and the choices', (_, journal, found) => {
    const fault = faultOf(journal);
    expect(fault).toContain('this coordinator has seen');
    expect(fault).toContain(found);
    expect(fault).toMatch(/put the newer store back; or, .* --accept-restored-store/);
  });

  test('was accepted by a person', () => {
    const reigns = [reign(1, 'a1', 1), reign(3, 'c3', 5, true)];
    expect(faultOf(atHand({ reigns, epoch: 3 }))).toBe('given-up');
  });
});
