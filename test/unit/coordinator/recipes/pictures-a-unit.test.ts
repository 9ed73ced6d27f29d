import { expect, test } from 'vitest';
import { picturesAUnit } from '../../../../coordinator/recipes/pictures-a-unit.ts';

const SIDE = 416 * 416;
const small = (count: number) => ({ count, filesBytes: count * 50_000 });

test('the larger the pictures that a model takes, the fewer are a unit', () => {
  const perUnit = [64 * 64, SIDE, 640 * 640, 1920 * 1080, 8192 * 8192].map((pixels) =>
    picturesAUnit({ count: 1e9, filesBytes: 1e9 }, pixels, 1),
  );
  expect(perUnit).toEqual([1_024, 1_024, 439, 86, 32]);
});

test('and the larger the files', () => {
  const perUnit = [50_000, 5_000_000, 100_000_000, 2 ** 32].map((fileBytes) =>
    picturesAUnit({ count: 1e6, filesBytes: 1e6 * fileBytes }, SIDE, 1),
  );
  expect(perUnit).toEqual([1_024, 107, 5, 1]);
});

test('every place has as much to do, and no small unit is left for the end', () => {
  for (const count of [1_200, 2_000, 10_000, 59_000]) {
    for (const places of [1, 2, 3, 7, 30]) {
      const perUnit = picturesAUnit(small(count), SIDE, places);
      const units = Math.ceil(count / perUnit);
      const last = count - (units - 1) * perUnit;
      expect(perUnit, `${count} on ${places}`).toBeLessThanOrEqual(1_024);
      expect(units % places, `${count} on ${places}`).toBe(0);
      // But for what rounding up leaves.
      expect(perUnit - last, `${count} on ${places}`).toBeLessThan(units);
    }
  }
});

test('few pictures are not cut into crumbs, and no unit is given more than there are', () => {
  expect(picturesAUnit(small(100), SIDE, 30)).toBe(32);
  expect(picturesAUnit(small(3), SIDE, 30)).toBe(3);
  expect(picturesAUnit({ count: 1, filesBytes: 0 }, 0, 0)).toBe(1);
});
