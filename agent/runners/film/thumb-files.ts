/**
 * Thumbs of a piece and of its chunk, in files. A film that cannot be cut has gigabytes of them, so that
 * they are compared stretch by stretch.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { compareThumbs, THUMB_BYTES, type Likeness } from './picture-likeness.ts';

const STRETCH_FRAMES = 4096;

/** Both files hold so many frames. `stretchFrames`: compared at once. */
export async function compareThumbFiles(
  sourcePath: string,
  encodedPath: string,
  frames: number,
  stretchFrames = STRETCH_FRAMES,
): Promise<Likeness> {
  const source = await open(sourcePath);
  try {
    const encoded = await open(encodedPath);
    try {
      return await compareAll(source, encoded, frames, stretchFrames);
    } finally {
      await encoded.close();
    }
  } finally {
    await source.close();
  }
}

async function compareAll(
  source: FileHandle,
  encoded: FileHandle,
  frames: number,
  stretchFrames: number,
): Promise<Likeness> {
  let sum = 0;
  let worstDifference = 0;
  let fault: string | undefined;
  for (let from = 0; from < frames; from += stretchFrames) {
    const until = Math.min(frames, from + stretchFrames);
    const startsAt = Math.max(0, from - 1);
    const end = Math.min(frames, until + 1);
    const likeness = compareThumbs(
      await readThumbs(source, startsAt, end),
      await readThumbs(encoded, startsAt, end),
      { startsAt, from, until },
    );
    sum += likeness.meanDifference * (until - from);
    worstDifference = Math.max(worstDifference, likeness.worstDifference);
    fault ??= likeness.fault;
  }
  return { meanDifference: frames === 0 ? 0 : sum / frames, worstDifference, fault };
}

async function readThumbs(file: FileHandle, from: number, until: number): Promise<Uint8Array> {
  const bytes = new Uint8Array((until - from) * THUMB_BYTES);
  for (let at = 0; at < bytes.length;) {
    const position = from * THUMB_BYTES + at;
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, position);
    if (bytesRead === 0) throw new Error('the thumbs end too soon');
    at += bytesRead;
  }
  return bytes;
}
