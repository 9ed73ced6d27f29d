import { describe, expect, test } from 'vitest';
import {
  firstLevelling,
  levellingFilters,
  nextLevelling,
} from '../../../../../agent/runners/film/loudness.ts';

const TARGET = { targetLufs: -16, truePeakDbtp: -1 };

describe('how sound becomes as loud as asked for', () => {
  test('a gain alone where its peaks have room', () => {
    const levelling = firstLevelling({ lufs: -20, truePeakDbtp: -9 }, TARGET, true);
    expect(levelling).toEqual({ gainDb: 4 });
    expect(levellingFilters(levelling, 48_000)).toEqual(['volume=4.000dB:precision=double']);
    expect(nextLevelling(levelling, { lufs: -16.4, truePeakDbtp: -5 }, TARGET)).toBeUndefined();
  });

  test('peaks are taken down where they have none, and what that took is made up for', () => {
    const levelling = firstLevelling({ lufs: -20, truePeakDbtp: -2 }, TARGET, true);
    expect(levelling).toEqual({ gainDb: 4, limitDb: -1.3 });
    expect(levellingFilters(levelling, 44_100).at(-1)).toBe('aresample=44100');
    const next = nextLevelling(levelling, { lufs: -17.5, truePeakDbtp: -1.3 }, TARGET);
    expect(next).toEqual({ gainDb: 5.5, limitDb: -1.3 });
    expect(nextLevelling(next!, { lufs: -16.1, truePeakDbtp: -1.3 }, TARGET)).toBeUndefined();
  });

  test('a coder that loses something gets more room', () => {
    expect(firstLevelling({ lufs: -20, truePeakDbtp: -5.5 }, TARGET, false).limitDb).toBe(-2);
  });

  test('silence stays silence', () => {
    expect(firstLevelling({ lufs: undefined, truePeakDbtp: -Infinity }, TARGET, true)).toEqual({
      gainDb: 0,
    });
  });
});
