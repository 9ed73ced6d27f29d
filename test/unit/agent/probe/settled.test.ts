import fc from 'fast-check';
import { expect, test } from 'vitest';
import { settled } from '../../../../agent/probe/settled.ts';

test.each([
  // What others use, told in steps of 64.
  [0, 1, 'up', 64],
  [64, 65, 'up', 128],
  [128, 60, 'up', 128],
  [128, 0, 'up', 0],
  // What is free.
  [0, 1000, 'down', 960],
  [960, 959, 'down', 896],
  [896, 1000, 'down', 896],
  [896, 1024, 'down', 1024],
] as const)('told %i, now %i, rounded %s: %i', (before, figure, rounding, told) => {
  expect(settled(before, figure, 64, rounding)).toBe(told);
});

test('what is told is never better than what is, nor worse by three steps', () => {
  const figure = fc.nat(10_000);
  fc.assert(
    fc.property(fc.array(figure, { minLength: 1 }), (figures) => {
      let used = 0;
      let free = 0;
      for (const next of figures) {
        used = settled(used, next, 64, 'up');
        free = settled(free, next, 64, 'down');
        expect(used).toBeGreaterThanOrEqual(next);
        expect(used - next).toBeLessThan(3 * 64);
        expect(free).toBeLessThanOrEqual(next);
        expect(next - free).toBeLessThan(3 * 64);
      }
    }),
  );
});
