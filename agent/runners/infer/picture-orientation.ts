/**
 * How a camera was held: many write that beside the picture (EXIF) and leave turning it to whoever shows it. Read
 * here, because versions of ffmpeg differ in whether they do, and of which kinds; what is looked at, or made larger, is
 * the picture as people see it.
 */
import { bytesFrom, type PictureBytes } from './picture-bytes.ts';
import type { PictureKind } from './picture-kind.ts';
import { tiffTags } from './tiff-tags.ts';

/** As EXIF counts them; 1 is upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** ffmpeg's filters that turn it. */
export const UPRIGHT: Readonly<Record<Orientation, readonly string[]>> = {
  1: [],
  2: ['hflip'],
  3: ['hflip', 'vflip'],
  4: ['vflip'],
  5: ['transpose=cclock_flip'],
  6: ['transpose=clock'],
  7: ['transpose=clock_flip'],
  8: ['transpose=cclock'],
};

/** Whether its width is its height as it is stored. */
export function isTurned(orientation: Orientation): boolean {
  return orientation >= 5;
}

const ORIENTATION_TAG = 0x0112;
const EXIF = Buffer.from('Exif\0\0', 'latin1');
/** What stands in a file is not to keep anybody busy: large pictures have some thousand pieces. */
const MOST_PIECES = 20_000;

/** 1 where a picture does not say, or says what cannot be. */
export async function orientationOf(bytes: PictureBytes, kind: PictureKind): Promise<Orientation> {
  const exif = await exifOf(bytes, kind);
  const value = exif === undefined ? undefined : (await tiffTags(exif)).get(ORIENTATION_TAG);
  return value !== undefined && value >= 1 && value <= 8 ? (value as Orientation) : 1;
}

async function exifOf(bytes: PictureBytes, kind: PictureKind): Promise<PictureBytes | undefined> {
  switch (kind) {
    case 'jpg':
      return exifOfJpeg(bytes);
    case 'png':
      return exifOfPng(bytes);
    case 'webp':
      return exifOfWebp(bytes);
    case 'tif':
      return bytes;
    case 'bmp':
      return undefined;
  }
}

const START_OF_SCAN = 0xda;
const APP1 = 0xe1;
const MARKER = 0xff;

async function exifOfJpeg(bytes: PictureBytes): Promise<PictureBytes | undefined> {
  let at = 2;
  for (let piece = 0; piece < MOST_PIECES; piece += 1) {
    const head = await bytes.read(at, 4 + EXIF.length);
    if (head.length < 4 || head[0] !== MARKER) return undefined;
    const [, marker] = head;
    // Any number of such bytes may stand before a marker.
    if (marker === MARKER) {
      at += 1;
      continue;
    }
    if (marker === START_OF_SCAN) return undefined;
    if (marker === APP1 && head.subarray(4).equals(EXIF)) {
      return bytesFrom(bytes, at + 4 + EXIF.length);
    }
    at += 2 + head.readUInt16BE(2);
  }
  return undefined;
}

async function exifOfPng(bytes: PictureBytes): Promise<PictureBytes | undefined> {
  let at = 8;
  for (let piece = 0; piece < MOST_PIECES; piece += 1) {
    const head = await bytes.read(at, 8);
    if (head.length < 8) return undefined;
    const name = head.toString('latin1', 4);
    if (name === 'eXIf') return bytesFrom(bytes, at + 8);
    if (name === 'IEND') return undefined;
    at += 12 + head.readUInt32BE(0);
  }
  return undefined;
}

async function exifOfWebp(bytes: PictureBytes): Promise<PictureBytes | undefined> {
  let at = 12;
  for (let piece = 0; piece < MOST_PIECES; piece += 1) {
    const head = await bytes.read(at, 8 + EXIF.length);
    if (head.length < 8) return undefined;
    if (head.toString('latin1', 0, 4) === 'EXIF') {
      // Some write it as a JPEG has it.
      const isLikeJpeg = head.subarray(8).equals(EXIF);
      return bytesFrom(bytes, at + 8 + (isLikeJpeg ? EXIF.length : 0));
    }
    const length = head.readUInt32LE(4);
    at += 8 + length + (length % 2);
  }
  return undefined;
}
