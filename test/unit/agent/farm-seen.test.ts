import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FARM_SEEN_FILE, FarmSeen } from '../../../agent/farm-seen.ts';
import { stateFile } from '../../../agent/state-file.ts';
import { createLog } from '../../../kit/log.ts';

const log = createLog({ role: 'test', level: 'silent' });
const PLACE = { farmId: 'f', epoch: 2, reignId: 'b2', sequence: 5 };

let folder: string;
let nowMs: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-seen-'));
  nowMs = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (): FarmSeen => new FarmSeen(stateFile(folder, FARM_SEEN_FILE), log, () => nowMs);

describe('what an agent has seen of its farm', () => {
  test('is nothing at first, and comes back after a kill', () => {
    expect(open().place).toBeUndefined();
    open().note(PLACE);
    expect(open().place).toEqual(PLACE);
    expect(open().highestEpochOf('f')).toBe(2);
    expect(open().highestEpochOf('g')).toBe(0);
  });

  test('is written at once in a new reign, and now and then within one', () => {
    const seen = open();
    seen.note(PLACE);
    seen.note({ ...PLACE, sequence: 6 });
    expect(open().place).toEqual(PLACE);
    nowMs = 10_000;
    seen.note({ ...PLACE, sequence: 7 });
    expect(open().place?.sequence).toBe(7);
    seen.note({ ...PLACE, sequence: 8 });
    seen.write();
    expect(open().place?.sequence).toBe(8);
    seen.note({ ...PLACE, epoch: 3, reignId: 'c3', sequence: 9 });
    expect(open().place?.epoch).toBe(3);
  });

  test('does not go back to an earlier epoch, but to another farm', () => {
    const seen = open();
    seen.note(PLACE);
    seen.note({ ...PLACE, epoch: 1, reignId: 'a1' });
    expect(seen.place).toEqual(PLACE);
    seen.note({ farmId: 'g', epoch: 1, reignId: 'a1', sequence: 1 });
    expect(open().place?.farmId).toBe('g');
  });

  test('is a higher epoch too, of which no place is known yet', () => {
    const seen = open();
    seen.note(PLACE);
    seen.noteEpoch('f', 4);
    expect(open().highestEpochOf('f')).toBe(4);
    expect(open().place).toEqual(PLACE);
    seen.note({ ...PLACE, epoch: 3, reignId: 'c3' });
    expect(open().place).toEqual(PLACE);
  });

  test('that is damaged is taken for nothing, and written anew', async () => {
    open().note(PLACE);
    await writeFile(join(folder, 'farm-seen.json'), '{"farmId":');
    expect(open().place).toBeUndefined();
    open().note(PLACE);
    expect(open().place).toEqual(PLACE);
    expect(await readdir(folder)).toEqual(['farm-seen.json']);
  });
});
