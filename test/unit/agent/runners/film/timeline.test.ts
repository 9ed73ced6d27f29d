import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  durationsUs,
  formatClock,
  formatUs,
  packTimes,
  parseTimeBase,
  pieceStarts,
  unpackTimes,
} from '../../../../../agent/runners/film/timeline.ts';

const ascending = fc
  .array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 60 })
  .map((steps) =>
    steps.reduce<number[]>((times, step) => [...times, times.at(-1)! + step], [-512]),
  );

describe('timeline', () => {
  test('packing keeps every time', () => {
    fc.assert(
      fc.property(ascending, (times) => {
        expect(unpackTimes(packTimes(times))).toEqual(times);
      }),
    );
  });

  test('a steady film packs into one run', () => {
    const times = Array.from({ length: 1000 }, (_, i) => i * 512);
    expect(packTimes(times)).toEqual({ first: 0, runs: [[512, 999]] });
  });

  test('rounding of durations never adds up', () => {
    fc.assert(
      fc.property(ascending, fc.constantFrom(1000, 30_000, 90_000, 12_800), (times, den) => {
        let sum = 0;
        for (const [i, us] of durationsUs(times, { num: 1, den }).entries()) {
          sum += us;
          const exact = ((times[i + 1]! - times[0]!) * 1e6) / den;
          expect(Math.abs(sum - exact)).toBeLessThanOrEqual(0.5);
        }
      }),
    );
  });

  test.each([
    [0, '0.000000'],
    [372_000, '0.372000'],
    [12_000_340, '12.000340'],
    [-21_333, '-0.021333'],
  ])('%i µs is written %s', (us, text) => {
    expect(formatUs(us)).toBe(text);
  });

  test('a clock for people', () => {
    expect(formatClock(3723.25)).toBe('01:02:03.250');
  });

  test('a time base is a positive fraction or nothing', () => {
    expect(parseTimeBase('1001/30000')).toEqual({ num: 1001, den: 30_000 });
    expect(parseTimeBase('0/1')).toBeUndefined();
    expect(parseTimeBase(undefined)).toBeUndefined();
  });
});

describe('where pieces begin', () => {
  const times = Array.from({ length: 100 }, (_, i) => i);

  test('at keyframes, one wanted length apart', () => {
    expect(pieceStarts(times, [0, 25, 50, 75], 25)).toEqual([0, 25, 50, 75]);
  });

  test('at the keyframe nearest to the wanted length', () => {
    expect(pieceStarts(times, [0, 8, 19, 26, 47, 60], 20)).toEqual([0, 19, 47, 60]);
  });

  test('a short rest stays with the last piece', () => {
    expect(pieceStarts(times, [0, 30, 60, 90], 30)).toEqual([0, 30, 60]);
  });

  test('without a keyframe within reach the piece grows', () => {
    expect(pieceStarts(times, [0, 70], 10)).toEqual([0, 70]);
  });

  test('a keyframe that is cut off is no place to begin', () => {
    expect(pieceStarts(times.slice(30), [25, 50, 75], 25)).toEqual([0, 20, 45]);
  });

  test('one frame is one piece', () => {
    expect(pieceStarts([7], [7], 25)).toEqual([0]);
  });
});
