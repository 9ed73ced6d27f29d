import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  retimed,
  retimedBase,
  retimedCount,
  startsWithFrames,
  stretchOf,
  type Timeline,
} from '../../../../../agent/runners/film/retime.ts';
import type { Retime } from '../../../../../proto/gen/furrow/v1/task.ts';

const rate = (rateNum: number, rateDen = 1, between = false): Retime => ({
  rateNum,
  rateDen,
  factor: 0,
  between,
});
const times = (factor: number): Retime => ({ rateNum: 0, rateDen: 0, factor, between: true });

const steady = (frames: number, step: number, den: number, first = 0): Timeline => ({
  timeBase: { num: 1, den },
  times: Array.from({ length: frames }, (_, i) => first + i * step),
  lastFrameTicks: step,
});
const shown = (source: Timeline, retime: Retime): number[] => [...retimed(source, retime).from];

describe('a fixed rate', () => {
  test('the same rate shows the same frames', () => {
    const film = retimed(steady(50, 512, 12_800, -1024), rate(25));
    expect([...film.from]).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(film.timeBase).toEqual({ num: 1, den: 10_000 });
    expect(film.times.slice(0, 3)).toEqual([0, 400, 800]);
  });

  test('NTSC rates are exact to the last frame of two hours', () => {
    const film = retimed(steady(172_800, 1, 24), rate(30_000, 1001));
    expect(film.times.length).toBe(215_784);
    expect(film.timeBase).toEqual({ num: 1, den: 30_000 });
    expect(film.times.at(-1)).toBe(215_783 * 1001);
  });

  test('times that a container rounded to a millisecond double and drop nothing', () => {
    const frames = 3000;
    const rounded: Timeline = {
      timeBase: { num: 1, den: 1000 },
      times: Array.from({ length: frames }, (_, i) => Math.round((i * 1001) / 30)),
      lastFrameTicks: 33,
    };
    const numbers = Array.from({ length: frames }, (_, i) => i);
    expect(shown(rounded, rate(30_000, 1001))).toEqual(numbers);
  });

  test('twice the rate doubles, half of it leaves out every second', () => {
    expect(shown(steady(4, 512, 12_800), rate(50))).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(shown(steady(6, 512, 12_800), rate(25, 2))).toEqual([0, 2, 4]);
  });

  test('24 frames become 30 by showing every fourth twice', () => {
    expect(shown(steady(8, 1, 24), rate(30))).toEqual([0, 0, 1, 2, 3, 4, 4, 5, 6, 7]);
  });

  test('where frames are left out, the nearest are kept', () => {
    expect(shown(steady(10, 1, 60), rate(24))).toEqual([0, 2, 5, 7]);
  });

  test('a pause shows its frame throughout', () => {
    const paused: Timeline = {
      timeBase: { num: 1, den: 1000 },
      times: [0, 40, 1040, 1080],
      lastFrameTicks: 40,
    };
    const film = shown(paused, rate(25));
    expect(film).toHaveLength(28);
    expect(film.filter((frame) => frame === 1)).toHaveLength(25);
    expect(film.slice(-2)).toEqual([2, 3]);
  });

  test('less than a frame is a frame', () => {
    expect(shown(steady(3, 512, 12_800), rate(1))).toEqual([0]);
  });

  test('frames between two say how far', () => {
    const film = retimed(steady(3, 1000, 24_000), rate(60, 1, true));
    expect([...film.from]).toEqual([0, 0, 0, 1, 1, 2, 2, 2]);
    expect([...film.part].map((part) => Math.round(part * 10) / 10)).toEqual([
      0, 0.4, 0.8, 0.2, 0.6, 0, 0, 0,
    ]);
  });
});

describe('a factor', () => {
  test('frames are evenly between, whatever the pace', () => {
    const film = retimed(
      { timeBase: { num: 1, den: 90_000 }, times: [10, 20, 50], lastFrameTicks: 7 },
      times(2),
    );
    expect(film.timeBase).toEqual({ num: 1, den: 180_000 });
    expect(film.times).toEqual([20, 30, 40, 70, 100, 130]);
    expect([...film.from]).toEqual([0, 0, 1, 1, 2, 2]);
    expect([...film.part]).toEqual([0, 0.5, 0, 0.5, 0, 0]);
  });

  test('of a single frame', () => {
    const film = retimed({ ...steady(1, 512, 12_800), lastFrameTicks: 0 }, times(3));
    expect(film.times).toEqual([0, 1, 2]);
  });
});

const anySource = fc
  .record({
    steps: fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 80 }),
    first: fc.integer({ min: -5000, max: 5000 }),
    den: fc.constantFrom(1000, 12_800, 30_000, 90_000),
    num: fc.constantFrom(1, 1, 1001),
    lastFrameTicks: fc.integer({ min: 0, max: 9000 }),
  })
  .map(({ steps, first, den, num, lastFrameTicks }): Timeline => {
    const all = steps.reduce<number[]>((at, step) => [...at, at.at(-1)! + step], [first]);
    return { timeBase: { num, den }, times: all, lastFrameTicks };
  });
const anyRetime = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(1, 12, 24, 25, 30, 50, 60, 24_000, 30_000, 60_000),
      fc.constantFrom(1, 2, 1001),
      fc.boolean(),
    )
    .filter(([num, den]) => num / den > 0.4 && num / den < 200)
    .map(([num, den, between]) => rate(num, den, between)),
  fc.integer({ min: 1, max: 5 }).map(times),
);

describe('any source and any target', () => {
  test('frames ascend, and come from frames that never fall', () => {
    fc.assert(
      fc.property(anySource, anyRetime, (source, retime) => {
        const film = retimed(source, retime);
        expect(film.times).toHaveLength(retimedCount(source, retime));
        expect(film.timeBase).toEqual(retimedBase(source.timeBase, retime));
        const wrong = film.times.findIndex((time, i) => {
          const [from, part] = [film.from[i]!, film.part[i]!];
          const falls = i > 0 && (time <= film.times[i - 1]! || from < film.from[i - 1]!);
          return falls || from >= source.times.length || part < 0 || part >= 1;
        });
        expect(wrong).toBe(-1);
      }),
    );
  });

  test('pieces share out the film: no frame is lost, doubled, or of none', () => {
    const cuts = fc.array(fc.nat(79), { maxLength: 8 });
    fc.assert(
      fc.property(anySource, anyRetime, cuts, (source, retime, wanted) => {
        const film = retimed(source, retime);
        const frames = source.times.length;
        const asked = [...new Set([0, ...wanted.filter((cut) => cut < frames)])];
        asked.sort((a, b) => a - b);
        const starts = startsWithFrames(film, asked, frames);
        let next = 0;
        for (const [i, start] of starts.entries()) {
          const stretch = stretchOf(film, start, (starts[i + 1] ?? frames) - start);
          expect(stretch.firstFrame).toBe(next);
          expect(stretch.frames).toBeGreaterThan(0);
          next += stretch.frames;
        }
        expect(next).toBe(film.times.length);
      }),
    );
  });
});
