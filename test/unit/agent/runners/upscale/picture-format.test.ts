import { expect, test } from 'vitest';
import { beyondFormat } from '../../../../../agent/runners/upscale/picture-format.ts';

test.each([
  ['png', 36_000_000, 1, undefined],
  ['png', 6001, 6000, /beyond 36000000 pixels: make it smaller/],
  ['webp', 16_383, 4, undefined],
  ['webp', 4, 16_384, /beyond the 16383 a side.*--format png/],
  ['jpg', 65_501, 4, /beyond the 65500 a side.*--format png/],
] as const)('%s of %d by %d', (format, width, height, expected) => {
  const found = beyondFormat(format, { width, height });
  if (expected === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(expected);
});
