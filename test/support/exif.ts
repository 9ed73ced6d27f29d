/** Files that say how the camera was held, and bytes that stand for a file. */
import { crc32 } from 'node:zlib';
import type { PictureBytes } from '../../agent/runners/infer/picture-bytes.ts';

export function bytesOf(buffer: Buffer): PictureBytes {
  return { read: async (at, count) => buffer.subarray(at, at + count) };
}

export type ByteOrder = 'II' | 'MM';

/** A TIFF's header and first directory; all numbers are shorts. */
export function tiffHeader(
  tags: Readonly<Record<number, number | readonly number[]>>,
  order: ByteOrder = 'II',
): Buffer {
  const entries = Object.entries(tags).map(
    ([tag, value]) => [Number(tag), [value].flat()] as const,
  );
  const start = 8 + 2 + 12 * entries.length + 4;
  const many = entries.flatMap(([, values]) => (values.length > 2 ? values : []));
  const tiff = Buffer.alloc(start + many.length * 2);
  const short = (value: number, at: number): number =>
    order === 'II' ? tiff.writeUInt16LE(value, at) : tiff.writeUInt16BE(value, at);
  const long = (value: number, at: number): number =>
    order === 'II' ? tiff.writeUInt32LE(value, at) : tiff.writeUInt32BE(value, at);
  tiff.write(order, 0, 'latin1');
  short(42, 2);
  long(8, 4);
  short(entries.length, 8);
  let behind = start;
  entries.forEach(([tag, values], i) => {
    const at = 10 + 12 * i;
    short(tag, at);
    short(3, at + 2);
    long(values.length, at + 4);
    const isInside = values.length <= 2;
    if (!isInside) long(behind, at + 8);
    values.forEach((value, j) => short(value, (isInside ? at + 8 : behind) + 2 * j));
    if (!isInside) behind += 2 * values.length;
  });
  return tiff;
}

const ORIENTATION = 0x0112;
const EXIF = Buffer.from('Exif\0\0', 'latin1');

export function exifTiff(orientation: number, order: ByteOrder = 'II'): Buffer {
  return tiffHeader({ [ORIENTATION]: orientation }, order);
}

/** A JPEG's beginning that says how the camera was held. */
export function jpegHeader(orientation: number, order: ByteOrder = 'II'): Buffer {
  const body = Buffer.concat([EXIF, exifTiff(orientation, order)]);
  return Buffer.concat([Buffer.from('ffd8', 'hex'), jpegSegment(0xe1, body)]);
}

export function jpegSegment(marker: number, body: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([head, body]);
}

/** The same JPEG, held so. */
export function withOrientation(jpeg: Buffer, orientation: number): Buffer {
  return Buffer.concat([jpegHeader(orientation), jpeg.subarray(2)]);
}

export function pngChunk(name: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

export function webpChunk(name: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([Buffer.from(name, 'latin1'), length, body, Buffer.alloc(body.length % 2)]);
}
