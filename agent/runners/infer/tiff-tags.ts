/** Numbers that the first directory of a TIFF says, or of EXIF, which is laid out like one. */
import type { PictureBytes } from './picture-bytes.ts';

const HEADER_BYTES = 8;
const ENTRY_BYTES = 12;
const SHORT = 3;
const LONG = 4;

/** By tag; the first number where there are several that lie in the entry itself. Empty for what is no TIFF. */
export async function tiffTags(tiff: PictureBytes): Promise<ReadonlyMap<number, number>> {
  const tags = new Map<number, number>();
  const header = await tiff.read(0, HEADER_BYTES);
  const order = header.subarray(0, 2).toString('latin1');
  if (header.length < HEADER_BYTES || (order !== 'II' && order !== 'MM')) return tags;
  const isLittle = order === 'II';
  const short = (from: Buffer, at: number): number =>
    isLittle ? from.readUInt16LE(at) : from.readUInt16BE(at);
  const long = (from: Buffer, at: number): number =>
    isLittle ? from.readUInt32LE(at) : from.readUInt32BE(at);
  const directory = long(header, 4);
  const count = await tiff.read(directory, 2);
  if (count.length < 2) return tags;
  const entries = await tiff.read(directory + 2, short(count, 0) * ENTRY_BYTES);
  for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
    const type = short(entries, at + 2);
    if (type === SHORT) tags.set(short(entries, at), short(entries, at + 8));
    if (type === LONG) tags.set(short(entries, at), long(entries, at + 8));
  }
  return tags;
}
