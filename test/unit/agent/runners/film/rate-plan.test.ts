import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { apportion } from '../../../../../agent/runners/film/rate-plan.ts';

test('alike pieces get alike rates, and a storm more than a still', () => {
  const piece = { seconds: 10, bits: 1000 };
  expect(apportion([piece, piece], 500_000)).toEqual([500_000, 500_000]);
  const [still, storm] = apportion(
    [
      { seconds: 10, bits: 1000 },
      { seconds: 10, bits: 9000 },
    ],
    1e6,
  );
  expect(storm! / still!).toBeGreaterThan(7);
  expect(still).toBeGreaterThan(20_000);
});

test('a piece of twice the length gets twice the bits, so the same rate', () => {
  const rates = apportion(
    [
      { seconds: 10, bits: 1000 },
      { seconds: 20, bits: 2000 },
    ],
    800_000,
  );
  expect(rates).toEqual([800_000, 800_000]);
});

test('whatever the pieces, the film has the rate that was asked for', () => {
  const piece = fc.record({
    seconds: fc.double({ min: 0.04, max: 600, noNaN: true }),
    bits: fc.integer({ min: 1, max: 2 ** 40 }),
  });
  const pieces = fc.array(piece, { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(pieces, fc.integer({ min: 20_000, max: 4e8 }), (all, bitrate) => {
      const rates = apportion(all, bitrate);
      const seconds = all.reduce((sum, one) => sum + one.seconds, 0);
      const bits = all.reduce((sum, one, i) => sum + one.seconds * rates[i]!, 0);
      expect(Math.abs(bits / seconds - bitrate)).toBeLessThan(2);
      expect(Math.min(...rates)).toBeGreaterThan(0.019 * bitrate - 1);
    }),
  );
});
