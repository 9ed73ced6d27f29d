import { describe, expect, test } from 'vitest';
import {
  parseMotions,
  steadyMoves,
  zoomToHideEdges,
  type Move,
} from '../../../../../agent/runners/film/camera-path.ts';

const still: Move = { x: 0, y: 0, angle: 0 };
const moving = (x: number): Move => ({ ...still, x });

describe('the path of a camera', () => {
  test('vid.stab’s list: comments are none of it', () => {
    const text = '0 0 0 0 0 1\n# no fields\n0 1.5 -2.25 0.001 0.5 0\n#\t\t 0.2 1\n';
    expect(parseMotions(text)).toEqual([still, { x: 1.5, y: -2.25, angle: 0.001 }]);
  });

  test('a steady pan stays: only what is quicker is taken out', () => {
    const pan = steadyMoves(
      Array.from({ length: 60 }, () => moving(2)),
      5,
    );
    // Far from both ends nothing is done to it.
    for (const move of pan.slice(10, 50)) expect(Math.abs(move.x)).toBeLessThan(1e-9);
  });

  test('a shake is taken out nearly whole', () => {
    const shake = Array.from({ length: 60 }, (_, i) => moving(i % 2 === 0 ? 3 : -3));
    const moves = steadyMoves(shake, 8);
    // The path goes between 3 and 0: each frame is moved to its middle.
    for (const [i, move] of moves.slice(20, 40).entries()) {
      expect(move.x).toBeCloseTo(i % 2 === 0 ? 1.5 : -1.5, 1);
    }
  });

  test('where pieces meet is no different: a stretch is a stretch of the whole', () => {
    const motions = Array.from({ length: 100 }, (_, i) => moving(Math.sin(i * 1.3) * 4));
    const whole = steadyMoves(motions, 6);
    expect(whole).toHaveLength(100);
    const steps = whole.slice(1).map((move, i) => Math.abs(move.x - whole[i]!.x));
    expect(Math.max(...steps)).toBeLessThan(8);
  });

  test('no smoothing leaves the whole path', () => {
    expect(steadyMoves([moving(1), moving(1), moving(1)], 0).map(({ x }) => x)).toEqual([1, 2, 3]);
  });
});

describe('what hides the edges', () => {
  const size = { width: 200, height: 100 };

  test('nothing for a film that stands still', () => {
    expect(zoomToHideEdges([still, still], size)).toBe(0);
  });

  test('as much as the farthest move needs, and the margin', () => {
    // 10 of 100 pixels to the side, and one that interpolation does not reach.
    expect(zoomToHideEdges([moving(10), still], size)).toBeCloseTo(11);
    expect(zoomToHideEdges([{ ...still, y: -10 }], size)).toBeCloseTo(22);
  });

  test('more where the picture turns', () => {
    expect(zoomToHideEdges([{ ...still, angle: 0.05 }], size)).toBeGreaterThan(9);
  });
});
