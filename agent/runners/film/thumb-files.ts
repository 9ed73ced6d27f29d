/**
 * Thumbs of a piece and of its chunk, in files. A film that cannot be cut has gigabytes of them, so that
 * they are compared stretch by stretch.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { compareThumbs, THUMB_BYTES, type Likeness, type ShownFrames } from './picture-likeness.ts';

const STRETCH_FRAMES = 4096;

/** How many frames the files hold, and which of the source's each of the film's shows. */
export interface ThumbCounts {
  readonly sourceFrames: number;
  readonly frames: number;
  /** Absent where each shows that of its own number. */
  readonly shown?: ShownFrames | undefined;
}

/** `stretchFrames`: compared at once. */
export async function compareThumbFiles(
  sourcePath: string,
  encodedPath: string,
  counts: ThumbCounts,
  stretchFrames = STRETCH_FRAMES,
): Promise<Likeness> {
  const source = await open(sourcePath);
  try {
    const encoded = await open(encodedPath);
    try {
      return await compareAll(source, encoded, counts, stretchFrames);
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
  { sourceFrames, frames, shown }: ThumbCounts,
  stretchFrames: number,
): Promise<Likeness> {
  let sum = 0;
  let worstDifference = 0;
  let fault: string | undefined;
  for (let from = 0; from < frames;) {
    const first = shown?.from[from] ?? from;
    const until = stretchEnd(from, first, { frames, sourceFrames, shown }, stretchFrames);
    const last = shown?.from[until - 1] ?? until - 1;
    const after = shown?.to?.[until - 1] ?? last + 1;
    // With the neighbours of what they show.
    const sourceStartsAt = Math.max(0, first - 1);
    const likeness = compareThumbs(
      await readThumbs(
        source,
        sourceStartsAt,
        Math.min(sourceFrames, Math.max(last + 2, after + 1)),
      ),
      await readThumbs(encoded, from, until),
      { startsAt: from, sourceStartsAt, from, until, shown },
    );
    sum += likeness.meanDifference * (until - from);
    worstDifference = Math.max(worstDifference, likeness.worstDifference);
    fault ??= likeness.fault;
    from = until;
  }
  return { meanDifference: frames === 0 ? 0 : sum / frames, worstDifference, fault };
}

/** At most so many frames of the film, which show at most so many of the source. */
function stretchEnd(
  from: number,
  first: number,
  { frames, shown }: ThumbCounts,
  stretchFrames: number,
): number {
  let until = Math.min(frames, from + stretchFrames);
  while (until > from + 1 && (shown?.from[until - 1] ?? until - 1) > first + stretchFrames) {
    until -= 1;
  }
  return until;
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
