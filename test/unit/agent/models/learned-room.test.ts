import { expect, test } from 'vitest';
import { LearnedRoom, type RoomAsked } from '../../../../agent/models/learned-room.ts';
import type { StateFile } from '../../../../agent/state-file.ts';

const MIB = 2 ** 20;

const asked = (memoryBytes: number, more: Partial<RoomAsked> = {}): RoomAsked => {
  return { memoryBytes, baseBytes: 0, otherBytes: 0, ...more };
};

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
  const before = room.roomPixels('m cpu', asked(1024 * MIB));
  room.note('m cpu', { bytes: 1_000 * 50_000, pixels: 50_000 });
  const after = room.roomPixels('m cpu', asked(1024 * MIB));
  expect(after).toBeGreaterThan(before * 3);
  expect(new LearnedRoom(file).roomPixels('m cpu', asked(1024 * MIB))).toBe(after);
  expect(room.roomPixels('other', asked(1024 * MIB))).toBe(before);
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
  expect(room.roomPixels('m', asked(0))).toBeGreaterThan(8192 * 4096);
  expect(room.roomPixels('m', asked(MIB))).toBe(1024);
});

test('a model that never ran here has the room that others saw, until it is seen here', () => {
  const room = new LearnedRoom(memoryFile());
  const heard = 200;
  const guessed = room.roomPixels('m', asked(1024 * MIB));
  const told = room.roomPixels('m', asked(1024 * MIB, { heard }));
  expect(told).toBeGreaterThan(guessed * 15);
  room.note('m', { bytes: 1_000 * 50_000, pixels: 50_000 });
  const own = room.roomPixels('m', asked(1024 * MIB, { heard }));
  expect(own).toBe(room.roomPixels('m', asked(1024 * MIB)));
  expect(own).toBeLessThan(told / 4);
});

test('a figure that was too low rises when memory runs out, and what is seen mends it', () => {
  const room = new LearnedRoom(memoryFile());
  room.note('m', { bytes: 100 * 50_000, pixels: 50_000 });
  const before = room.bytesAPixel('m');
  room.noteRunOut('m');
  expect(room.bytesAPixel('m')).toBeCloseTo(before * 1.5);
  for (let run = 0; run < 100; run += 1) room.noteRunOut('m');
  expect(room.bytesAPixel('m')).toBeLessThan(2 ** 21);
  for (let run = 0; run < 100; run += 1) room.note('m', { bytes: 300 * 50_000, pixels: 50_000 });
  expect(room.bytesAPixel('m')).toBeLessThan(before * 3 * 1.05);
  expect(room.bytesAPixel('m')).toBeGreaterThan(before * 2.9);
});

test('and what others saw rises with it, where this machine saw nothing', () => {
  const room = new LearnedRoom(memoryFile());
  expect(room.noteRunOut('m', 100)).toBeCloseTo(150);
  expect(room.bytesAPixel('m', 100)).toBeCloseTo(150 * 1.15);
});

test('a large model leaves less room than a small one', () => {
  const room = new LearnedRoom(memoryFile());
  const small = room.roomPixels('m', asked(1024 * MIB));
  expect(room.roomPixels('m', asked(1024 * MIB, { baseBytes: 800 * MIB }))).toBeLessThan(small / 3);
});
