import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  makespan,
  pieceCosts,
  piecesOfLength,
  planPieces,
  type FilmToCut,
  type PieceLimits,
} from '../../../../../agent/runners/film/plan-pieces.ts';

/** `work`: over and over; a frame's is 1 on average. */
function filmOf(frames: number, keyEvery: number, work: readonly number[] = [1]): FilmToCut {
  const each = Float64Array.from({ length: frames }, (_, i) => work[i % work.length]!);
  const mean = each.reduce((sum, frame) => sum + frame, 0) / frames;
  return {
    work: each.map((frame) => frame / mean),
    keyframes: Array.from({ length: Math.ceil(frames / keyEvery) }, (_, i) => i * keyEvery),
    scenes: [],
  };
}

const LIMITS: PieceLimits = {
  unitsAtOnce: 2,
  shortestFrames: 50,
  longestFrames: 250,
  overheadFrames: 6,
};

function lengthsOf(starts: readonly number[], frames: number): number[] {
  return starts.map((start, i) => (starts[i + 1] ?? frames) - start);
}

describe('a film is cut for the agents at hand', () => {
  const film = fc
    .record({
      frames: fc.integer({ min: 1, max: 3000 }),
      keyEvery: fc.integer({ min: 1, max: 400 }),
      work: fc.array(fc.double({ min: 0.3, max: 4, noNaN: true }), { minLength: 1, maxLength: 50 }),
      sceneEvery: fc.integer({ min: 3, max: 900 }),
    })
    .map(({ frames, keyEvery, work, sceneEvery }) => ({
      ...filmOf(frames, keyEvery, work),
      scenes: Array.from({ length: Math.floor(frames / sceneEvery) }, (_, i) => i * sceneEvery + 1),
    }));
  const limits = fc
    .record({
      unitsAtOnce: fc.integer({ min: 1, max: 40 }),
      shortestFrames: fc.integer({ min: 1, max: 120 }),
      times: fc.integer({ min: 2, max: 6 }),
      overheadFrames: fc.double({ min: 0, max: 30, noNaN: true }),
    })
    .map(({ times, ...rest }) => ({ ...rest, longestFrames: rest.shortestFrames * times }));

  test('pieces are all of its frames, and none is shorter than is worth it', () => {
    fc.assert(
      fc.property(film, limits, fc.boolean(), (one, its, byScene) => {
        const frames = one.work.length;
        const starts = planPieces(one, its, byScene);
        const lengths = lengthsOf(starts, frames);
        expect(starts[0]).toBe(0);
        expect(starts.every(Number.isInteger)).toBe(true);
        expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(frames);
        const least = Math.min(frames, its.shortestFrames);
        expect(Math.min(...lengths)).toBeGreaterThanOrEqual(least);
        // Twice, where the next keyframe is so far.
        expect(Math.max(...lengths)).toBeLessThanOrEqual(
          2.5 * its.longestFrames + its.shortestFrames,
        );
      }),
      { numRuns: 60 },
    );
  });

  test('agents that are alike end at about the same time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 80 }),
        fc.array(fc.double({ min: 0.4, max: 2, noNaN: true }), { minLength: 1, maxLength: 9 }),
        (unitsAtOnce, keyEvery, work) => {
          const frames = unitsAtOnce * 400;
          // Stretches of the same work, as scenes are.
          const one = filmOf(
            frames,
            keyEvery,
            work.flatMap((each) => Array<number>(90).fill(each)),
          );
          const its = { ...LIMITS, unitsAtOnce };
          const costs = pieceCosts(one, its, planPieces(one, its));
          const total = one.work.reduce((sum, each) => sum + each, 0);
          const ends = makespan(costs, Array<number>(unitsAtOnce).fill(1));
          expect(ends).toBeLessThanOrEqual((total / unitsAtOnce) * 1.2 + 4 * its.overheadFrames);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('two agents get one piece each where its keyframes fall so', () => {
    expect(planPieces(filmOf(500, 250), { ...LIMITS, overheadFrames: 12 })).toEqual([0, 250]);
  });

  test('a long film ends in pieces that are no longer than those before', () => {
    const starts = planPieces(filmOf(30_000, 25), LIMITS);
    const lengths = lengthsOf(starts, 30_000);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(250);
    expect(Math.max(...lengths.slice(-2))).toBeLessThanOrEqual(Math.max(...lengths.slice(0, 20)));
  });

  test('where keyframes are far apart, agents do not wait for them', () => {
    const frames = 1000;
    const starts = planPieces(filmOf(frames, frames), { ...LIMITS, unitsAtOnce: 4 });
    expect(starts.length).toBeGreaterThanOrEqual(4);
  });

  test('a stretch that moves gets shorter pieces than one that stands still', () => {
    const still = Array<number>(1000).fill(0.4);
    const moving = Array<number>(1000).fill(1.6);
    const starts = planPieces(filmOf(2000, 10, [...still, ...moving]), {
      ...LIMITS,
      unitsAtOnce: 8,
    });
    const inStill = starts.filter((start) => start < 1000).length;
    expect(starts.length - inStill).toBeGreaterThan(inStill);
  });

  test('a piece begins with a scene that is near, rather than with a keyframe', () => {
    const one = { ...filmOf(500, 25), scenes: [263] };
    expect(planPieces(one, LIMITS, true)).toEqual([0, 263]);
  });
});

describe('pieces of a length that was asked for', () => {
  test('begin with scenes near its multiples', () => {
    const one = { ...filmOf(400, 50), scenes: [90, 93, 212, 330] };
    expect(piecesOfLength(one, 100)).toEqual([0, 93, 212, 330]);
  });

  test('are all of the film', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0.5, max: 400, noNaN: true }),
        (frames, keyEvery, length) => {
          const starts = piecesOfLength(filmOf(frames, keyEvery), length);
          expect(starts[0]).toBe(0);
          expect(Math.min(...lengthsOf(starts, frames))).toBeGreaterThanOrEqual(1);
        },
      ),
    );
  });
});
