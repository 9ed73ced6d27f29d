import { expect, test } from 'vitest';
import { frameRateOf } from '../../../../coordinator/recipes/frame-rate.ts';

test.each([
  ['25', 25, 1],
  ['30000/1001', 30_000, 1001],
  ['50/2', 25, 1],
  ['12.5', 25, 2],
  ['1/10', 1, 10],
])('%s is exact', (text, rateNum, rateDen) => {
  expect(frameRateOf(text)).toEqual({ rateNum, rateDen });
});

test.each([
  ['29.97', 'fps 29.97 is not exact: use 30000/1001'],
  ['23.976', 'fps 23.976 is not exact: use 24000/1001'],
  ['0', /no frame rate/],
  ['25/0', /no frame rate/],
  ['fast', /"fast" is no frame rate: use a number or a fraction/],
  ['-25', /no frame rate/],
  ['25,null', /no frame rate/],
  ['1001', 'fps 1001 is out of range: use up to 1000'],
])('%s is refused', (text, message) => {
  expect(frameRateOf(text)).toMatch(message);
});

test('nothing is the rate of the source', () => {
  expect(frameRateOf('')).toBeUndefined();
});
