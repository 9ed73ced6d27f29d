/**
 * Boxes of MP4 files, by their places. Files were made by ffmpeg, but on another agent: what does not fit its
 * frame is a fault of the file, never a read beyond it.
 */
import type { FileHandle } from 'node:fs/promises';
import { FilmFault } from '../film/film-fault.ts';

export interface Box {
  readonly type: string;
  /** Of its header. */
  readonly start: number;
  /** Of its content. */
  readonly content: number;
  readonly end: number;
}

/** `moov` and `moof` are held in memory: those of a day come to some ten MB. */
const MAX_HEADER_BYTES = 64 * 1024 ** 2;

/** The outermost boxes of a file; together they are all of it. */
export async function fileBoxes(file: FileHandle, name: string): Promise<Box[]> {
  const { size } = await file.stat();
  const head = Buffer.alloc(16);
  const boxes: Box[] = [];
  for (let start = 0; start < size;) {
    const { bytesRead } = await file.read(head, 0, 16, start);
    const box = bytesRead < 8 ? undefined : boxAt(head, bytesRead, start);
    if (box === undefined || box.end > size) {
      throw new FilmFault('bad-output', `${name} is not whole: a box at ${start} does not end`);
    }
    boxes.push(box);
    start = box.end;
  }
  return boxes;
}

/** Of a header that begins at 0 of `head` and at `start` of what it is in. */
function boxAt(head: Buffer, bytes: number, start: number): Box | undefined {
  const small = head.readUInt32BE(0);
  const isLarge = small === 1;
  if (isLarge && bytes < 16) return undefined;
  const length = isLarge ? Number(head.readBigUInt64BE(8)) : small;
  const content = start + (isLarge ? 16 : 8);
  const end = start + length;
  return end < content ? undefined : { type: head.toString('latin1', 4, 8), start, content, end };
}

export async function readBox(file: FileHandle, box: Box): Promise<Buffer> {
  const length = box.end - box.start;
  if (length > MAX_HEADER_BYTES) {
    throw new FilmFault('bad-output', `a box ${box.type} of ${length} bytes is no header`);
  }
  const bytes = Buffer.alloc(length);
  await file.read(bytes, 0, length, box.start);
  return bytes;
}

/** Boxes that lie in a buffer from `from` to `to`. */
export function boxesIn(bytes: Buffer, from: number, to: number): Box[] {
  const boxes: Box[] = [];
  for (let start = from; start + 8 <= to;) {
    const box = boxAt(bytes.subarray(start), to - start, start);
    if (box === undefined || box.end > to) throw new FilmFault('bad-output', 'a box does not end');
    boxes.push(box);
    start = box.end;
  }
  return boxes;
}

/** `moov/trak/mdia`, from a buffer that begins with the outermost box; the first of each name. */
export function boxOf(bytes: Buffer, path: string): Box | undefined {
  let found: Box | undefined;
  let [from, to] = [0, bytes.length];
  for (const type of path.split('/')) {
    found = boxesIn(bytes, from, to).find((box) => box.type === type);
    if (found === undefined) return undefined;
    [from, to] = [found.content, found.end];
  }
  return found;
}

/** A field that lies beyond its box is the file's fault. */
export function within<Result>(what: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FilmFault('bad-output', `a box ${what} is too short`);
  }
}
