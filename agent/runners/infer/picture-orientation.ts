/**
 * How a camera was held: many write that beside the picture (EXIF) and leave turning it to whoever shows it. Read
 * here, because versions of ffmpeg differ in whether they do; what is looked at is the picture as people see it.
 */

/** As EXIF counts them; 1 is upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** A JPEG tells it in its first segments. */
export const ORIENTATION_BYTES = 64 * 1024;

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

const START_OF_SCAN = 0xda;
const APP1 = 0xe1;
const EXIF = Buffer.from('Exif\0\0', 'latin1');
const ORIENTATION_TAG = 0x0112;
const ENTRY_BYTES = 12;

/** 1 where a JPEG's first bytes do not say, or say what cannot be. */
export function orientationOf(jpeg: Buffer): Orientation {
  let at = 2;
  while (at + 4 <= jpeg.length && jpeg[at] === 0xff) {
    const marker = jpeg[at + 1];
    if (marker === START_OF_SCAN) return 1;
    const length = jpeg.readUInt16BE(at + 2);
    const body = jpeg.subarray(at + 4, at + 2 + length);
    if (marker === APP1 && body.subarray(0, EXIF.length).equals(EXIF)) {
      return orientationInTiff(body.subarray(EXIF.length));
    }
    at += 2 + length;
  }
  return 1;
}

function orientationInTiff(tiff: Buffer): Orientation {
  const isLittle = tiff.subarray(0, 2).toString('latin1') === 'II';
  const short = (at: number): number => {
    if (at < 0 || at + 2 > tiff.length) return 0;
    return isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at);
  };
  if (tiff.length < 8) return 1;
  const directory = isLittle ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  const count = short(directory);
  for (let entry = 0; entry < count; entry += 1) {
    const at = directory + 2 + entry * ENTRY_BYTES;
    if (at + ENTRY_BYTES > tiff.length) return 1;
    if (short(at) !== ORIENTATION_TAG) continue;
    const value = short(at + 8);
    return value >= 1 && value <= 8 ? (value as Orientation) : 1;
  }
  return 1;
}
