import { expect, test } from 'vitest';
import type { PictureKind } from '../../../../../agent/runners/infer/picture-kind.ts';
import { orientationOf } from '../../../../../agent/runners/infer/picture-orientation.ts';
import {
  bytesOf,
  exifTiff,
  jpegHeader,
  jpegSegment,
  pngChunk,
  webpChunk,
} from '../../../../support/exif.ts';

const held = (buffer: Buffer, kind: PictureKind = 'jpg'): Promise<number> =>
  orientationOf(bytesOf(buffer), kind);

test.each(['II', 'MM'] as const)('is read in either byte order (%s)', async (order) => {
  for (let value = 1; value <= 8; value += 1) {
    expect(await held(jpegHeader(value, order))).toBe(value);
    expect(await held(exifTiff(value, order), 'tif')).toBe(value);
  }
});

const PIXELS = Buffer.alloc(70_001);

test.each<[string, PictureKind, readonly Buffer[]]>([
  [
    'behind a large colour profile',
    'jpg',
    [
      Buffer.from('ffd8', 'hex'),
      jpegSegment(0xe2, Buffer.alloc(65_000)),
      jpegSegment(0xe2, Buffer.alloc(65_000)),
      jpegHeader(6).subarray(2),
    ],
  ],
  [
    'behind other data of that segment, and bytes that fill',
    'jpg',
    [
      Buffer.from('ffd8', 'hex'),
      jpegSegment(0xe1, Buffer.from('http://ns.adobe.com/xap/1.0/\0<x/>')),
      Buffer.from('ffff', 'hex'),
      jpegHeader(6).subarray(2),
    ],
  ],
  [
    'before the pixels of a PNG',
    'png',
    [Buffer.alloc(8), pngChunk('eXIf', exifTiff(6)), pngChunk('IDAT', PIXELS)],
  ],
  [
    'behind them',
    'png',
    [Buffer.alloc(8), pngChunk('IDAT', PIXELS), pngChunk('eXIf', exifTiff(6))],
  ],
  [
    'behind the pixels of a WebP',
    'webp',
    [Buffer.alloc(12), webpChunk('VP8 ', PIXELS), webpChunk('EXIF', exifTiff(6))],
  ],
  [
    'there as a JPEG has it',
    'webp',
    [
      Buffer.alloc(12),
      webpChunk('EXIF', Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exifTiff(6)])),
    ],
  ],
])('is found %s (%s)', async (_where, kind, parts) => {
  expect(await held(Buffer.concat(parts), kind)).toBe(6);
});

test('what does not say, or says what cannot be, is upright', async () => {
  expect(await held(Buffer.from('ffd8ffda0008', 'hex'))).toBe(1);
  expect(await held(Buffer.from('ffd8', 'hex'))).toBe(1);
  expect(await held(jpegHeader(0))).toBe(1);
  expect(await held(jpegHeader(9))).toBe(1);
  for (const kind of ['jpg', 'png', 'webp', 'bmp', 'tif'] as const) {
    expect(await held(Buffer.alloc(0), kind)).toBe(1);
    expect(await held(Buffer.alloc(100), kind)).toBe(1);
  }
  const header = jpegHeader(6);
  for (let length = 0; length < header.length; length += 1) {
    expect([1, 6]).toContain(await held(header.subarray(0, length)));
  }
});

test('whatever comes, it ends', async () => {
  const header = jpegHeader(6);
  for (let at = 2; at < header.length; at += 1) {
    for (const byte of [0, 0x7f, 0xff]) {
      const bent = Buffer.from(header);
      bent[at] = byte;
      expect(await held(bent)).toBeGreaterThanOrEqual(1);
    }
  }
});
