/** What kind of picture a file is, by its first bytes: its name may say anything. Pure. */

/** By the ending that ffmpeg's reader of numbered pictures knows it by. */
export type PictureKind = 'png' | 'jpg' | 'webp' | 'bmp' | 'tif';

/** So many bytes tell. */
export const KIND_BYTES = 16;

/** Decoders that these kinds need, and no others. */
export const PICTURE_DECODERS = ['png', 'mjpeg', 'webp', 'bmp', 'tiff'] as const;

export function pictureKindOf(first: Uint8Array): PictureKind | undefined {
  const starts = (...bytes: readonly number[]): boolean =>
    bytes.every((byte, index) => first[index] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'png';
  if (starts(0xff, 0xd8, 0xff)) return 'jpg';
  const text = Buffer.from(first).toString('latin1');
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'webp';
  if (text.startsWith('BM')) return 'bmp';
  return starts(0x49, 0x49, 0x2a, 0) || starts(0x4d, 0x4d, 0, 0x2a) ? 'tif' : undefined;
}

/** Why a file without a kind is none that can be looked at. */
export function whyNoPicture(first: Uint8Array): string {
  if (first.length === 0) return 'it is empty';
  return 'it is no picture of a known kind (PNG, JPEG, WebP, BMP, TIFF)';
}

/** Half a picture is none. But of a TIFF any tag that ffmpeg does not know would be an error. */
export function strictness(kind: PictureKind): readonly string[] {
  return kind === 'tif' ? [] : ['-err_detect', 'explode'];
}
