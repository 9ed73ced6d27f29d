import { expect, test } from 'vitest';
import { LearnedRoom } from '../../../../agent/models/learned-room.ts';
import type { StateFile } from '../../../../agent/state-file.ts';

const MIB = 2 ** 20;

function memoryFile(text?: string): StateFile {
  let content = text;
  return {
    path: 'nowhere',
    read: () => content,
    replace: (now) => {
      content = now;
    },
  };
}

test('what a model took for a pixel chooses how many go at once, also after a restart', () => {
  const file = memoryFile();
  const room = new LearnedRoom(file);
  const before = room.roomPixels('m cpu', 1024 * MIB, 0);
  room.note('m cpu', { bytes: 1_000 * 50_000, pixels: 50_000 });
  const after = room.roomPixels('m cpu', 1024 * MIB, 0);
  expect(after).toBeGreaterThan(before * 3);
  expect(new LearnedRoom(file).roomPixels('m cpu', 1024 * MIB, 0)).toBe(after);
  expect(room.roomPixels('other', 1024 * MIB, 0)).toBe(before);
});

test('more is believed at once, less only slowly, and small pictures tell nothing', () => {
  const room = new LearnedRoom(memoryFile());
  room.note('m', { bytes: 1_000 * 50_000, pixels: 50_000 });
  const usual = room.bytesAPixel('m');
  room.note('m', { bytes: 10 * 50_000, pixels: 50_000 });
  expect(room.bytesAPixel('m')).toBeGreaterThan(usual * 0.8);
  room.note('m', { bytes: 9_000 * 50_000, pixels: 50_000 });
  expect(room.bytesAPixel('m')).toBeGreaterThan(usual * 8);
  room.note('m', { bytes: 10 ** 9, pixels: 10 });
  expect(room.bytesAPixel('m')).toBeLessThan(usual * 12);
});

test('a damaged file is only learned anew; without a limit there is room for all', () => {
  const room = new LearnedRoom(memoryFile('{"m": "much"'));
  expect(room.roomPixels('m', 0, 0)).toBeGreaterThan(8192 * 4096);
  expect(room.roomPixels('m', MIB, 0)).toBe(1024);
});
