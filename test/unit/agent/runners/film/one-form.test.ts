import { expect, test } from 'vitest';
import { oneFormFilters } from '../../../../../agent/runners/film/one-form.ts';

const UPRIGHT = [1, 0, 0, 1];
const DVD = { width: 720, height: 576, orientation: UPRIGHT, sampleAspect: '64:45' };
const AS_IT_IS = { encoder: 'libx264', width: 0, height: 0 };

test('the size and the pixels of the header', () => {
  expect(oneFormFilters(DVD, AS_IT_IS)).toEqual([
    'scale=720:576:flags=bicubic',
    'setsar=64/45:max=1000000',
  ]);
});

test('a turned film has its pixels turned', () => {
  expect(oneFormFilters({ ...DVD, orientation: [0, 1, -1, 0] }, AS_IT_IS)).toEqual([
    'scale=576:720:flags=bicubic',
    'setsar=45/64:max=1000000',
  ]);
});

test('an odd side is cut, but for VP9', () => {
  const odd = { width: 321, height: 181, orientation: UPRIGHT };
  expect(oneFormFilters(odd, AS_IT_IS)).toEqual(['scale=320:180:flags=bicubic']);
  expect(oneFormFilters(odd, { ...AS_IT_IS, encoder: 'libvpx-vp9' })).toEqual([
    'scale=321:181:flags=bicubic',
  ]);
});

// ffmpeg 5.1 makes 202x162 of it, with pixels of 1536:1010.
test('a size of which one side is wanted, as ffmpeg counts it', () => {
  expect(oneFormFilters(DVD, { ...AS_IT_IS, width: 202 })).toEqual([
    'scale=202:162:flags=bicubic',
    'setsar=144/101:max=1000000',
  ]);
});

test('nothing where nobody knows the size', () => {
  expect(oneFormFilters({ width: 0, height: 0, orientation: UPRIGHT }, AS_IT_IS)).toEqual([]);
});
