/** Bits of a value by ffmpeg's names of formats. */
import { expect, test } from 'vitest';
import { bitsOf, isDeep } from '../../../../../agent/runners/film/pixel-depth.ts';

test.each([
  ['yuv420p', 8],
  ['yuvj422p', 8],
  ['yuv410p', 8],
  ['nv16', 8],
  ['nv12', 8],
  ['rgb24', 8],
  ['gray', 8],
  ['yuv420p10le', 10],
  ['yuv444p12be', 12],
  ['gbrp9le', 9],
  ['p010le', 10],
  ['p010', 10],
  ['p416le', 16],
  ['nv20le', 10],
  ['x2rgb10le', 10],
  ['xyz12le', 12],
  ['gray16le', 16],
  ['rgb48le', 16],
  ['rgba64be', 16],
  ['gbrpf32le', 32],
])('%s has %i', (format, bits) => {
  expect(bitsOf(format)).toBe(bits);
  expect(isDeep(format)).toBe(bits > 8);
});
