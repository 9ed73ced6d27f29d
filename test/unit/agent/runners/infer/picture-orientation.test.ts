import { expect, test } from 'vitest';
import { orientationOf } from '../../../../../agent/runners/infer/picture-orientation.ts';
import { jpegHeader } from '../../../../support/exif.ts';

test.each(['II', 'MM'] as const)('is read in either byte order (%s)', (order) => {
  for (let value = 1; value <= 8; value += 1) {
    expect(orientationOf(jpegHeader(value, order))).toBe(value);
  }
});

test('what does not say, or says what cannot be, is upright', () => {
  expect(orientationOf(Buffer.from('ffd8ffda0008', 'hex'))).toBe(1);
  expect(orientationOf(Buffer.from('ffd8', 'hex'))).toBe(1);
  expect(orientationOf(Buffer.alloc(0))).toBe(1);
  expect(orientationOf(jpegHeader(0))).toBe(1);
  expect(orientationOf(jpegHeader(9))).toBe(1);
  const header = jpegHeader(6);
  for (let length = 0; length < header.length; length += 1) {
    expect([1, 6]).toContain(orientationOf(header.subarray(0, length)));
  }
});

test('whatever comes, it ends', () => {
  const header = jpegHeader(6);
  for (let at = 2; at < header.length; at += 1) {
    for (const byte of [0, 0x7f, 0xff]) {
      const bent = Buffer.from(header);
      bent[at] = byte;
      expect(orientationOf(bent)).toBeGreaterThanOrEqual(1);
    }
  }
});
