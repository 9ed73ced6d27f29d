import { describe, expect, test } from 'vitest';
import type { PacketRow } from '../../../../../agent/runners/film/frame-index.ts';
import { locate, packetsFor } from '../../../../../agent/runners/film/piece-cut.ts';

const packet = (pts: number, key = false, sizeBytes = 100 + pts): PacketRow => ({
  pts,
  duration: 1,
  sizeBytes,
  key,
  discarded: false,
});

/** Open GOP in decoding order: the pictures after the second keyframe are shown before it. */
const OPEN = [
  packet(0, true),
  packet(3),
  packet(1),
  packet(2),
  packet(6, true),
  packet(4),
  packet(5),
  packet(9),
  packet(7),
  packet(8),
];

describe('packets for a range', () => {
  test('pictures that lead an open group belong to the piece before', () => {
    expect(packetsFor(OPEN, { fromPts: 0, untilPts: 6 })).toEqual({ first: 0, last: 6 });
  });

  test('the next piece begins with the keyframe', () => {
    expect(packetsFor(OPEN, { fromPts: 6, untilPts: 10 })).toEqual({ first: 4, last: 9 });
  });

  test('a range that begins in mid-group takes the group’s keyframe', () => {
    expect(packetsFor(OPEN, { fromPts: 8, untilPts: 10 })).toEqual({ first: 4, last: 9 });
  });

  test('nothing to begin with is no range', () => {
    expect(packetsFor([packet(1), packet(2)], { fromPts: 1, untilPts: 3 })).toBeUndefined();
  });
});

describe('where a piece is in its source', () => {
  const timeBase = { num: 1, den: 25 };
  const source = { packets: OPEN, timeBase };

  test('unshifted', () => {
    expect(locate(source, { packets: OPEN.slice(4), timeBase }, 4)).toEqual({
      at: 4,
      shiftTicks: 0,
    });
  });

  test('shifted, in finer ticks', () => {
    const packets = OPEN.slice(4).map((row) => ({ ...row, pts: row.pts! * 4 + 12 }));
    expect(locate(source, { packets, timeBase: { num: 1, den: 100 } }, 4)).toEqual({
      at: 4,
      shiftTicks: 12,
    });
  });

  test('a keyframe early', () => {
    expect(locate(source, { packets: OPEN.slice(0, 6), timeBase }, 4)?.at).toBe(0);
  });

  test('another packet of the same times is not taken for it', () => {
    const packets = OPEN.slice(4).map((row, i) => (i === 2 ? { ...row, sizeBytes: 1 } : row));
    expect(locate(source, { packets, timeBase }, 4)).toBeUndefined();
  });
});
