import { expect, test } from 'vitest';
import { beyondFormat } from '../../../../../agent/runners/upscale/picture-format.ts';

test.each([
  ['png', 36_000_000, 1],
  ['webp', 16_383, 4],
] as const)('%s can be of %d by %d', (format, width, height) => {
  expect(beyondFormat(format, { width, height })).toBeUndefined();
});

test.each([
  ['png', 6001, 6000, /beyond 36000000 pixels: make it smaller/],
  ['webp', 4, 16_384, /beyond the 16383 a side.*--format png/],
  ['jpg', 65_501, 4, /beyond the 65500 a side.*--format png/],
] as const)('%s cannot be of %d by %d', (format, width, height, expected) => {
  expect(beyondFormat(format, { width, height })).toMatch(expected);
});
