import { expect, test } from 'vitest';
import { picturesAUnit } from '../../../../coordinator/recipes/pictures-a-unit.ts';

const unitsOf = (count: number, perUnit: number): number => Math.ceil(count / perUnit);

test('the larger the pictures that a model takes, the fewer are a unit', () => {
  const perUnit = [64 * 64, 416 * 416, 640 * 640, 1920 * 1080, 8192 * 8192].map((pixels) =>
    picturesAUnit(1e9, pixels, 1),
  );
  expect(perUnit).toEqual([1_024, 1_024, 439, 86, 32]);
});

test('every place has as much to do, and no small unit is left for the end', () => {
  for (const count of [1_200, 2_000, 10_000, 59_000]) {
    for (const places of [1, 2, 3, 7, 30]) {
      const perUnit = picturesAUnit(count, 416 * 416, places);
      const units = unitsOf(count, perUnit);
      const last = count - (units - 1) * perUnit;
      expect(perUnit, `${count} on ${places}`).toBeLessThanOrEqual(1_024);
      expect(units % places === 0 || perUnit === 32, `${count} on ${places}`).toBe(true);
      // But for what rounding up leaves.
      expect(perUnit - last < units || perUnit === 32, `${count} on ${places}`).toBe(true);
    }
  }
});

test('few pictures are not cut into crumbs, and no unit is given more than there are', () => {
  expect(picturesAUnit(100, 416 * 416, 30)).toBe(32);
  expect(picturesAUnit(3, 416 * 416, 30)).toBe(3);
  expect(picturesAUnit(1, 0, 0)).toBe(1);
});
