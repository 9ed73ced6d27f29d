/**
 * Tells frames apart by tiny grey copies of them: whether an encoded frame shows what the frame of the
 * same number showed, and not its neighbour. Cheap enough to be done for every frame of every chunk.
 */
const THUMB_WIDTH = 32;
const THUMB_HEIGHT = 18;
export const THUMB_BYTES = THUMB_WIDTH * THUMB_HEIGHT;

/** Filter that makes the copies. */
export const THUMB_FILTER = `scale=${THUMB_WIDTH}:${THUMB_HEIGHT}:flags=area,format=gray`;

/** Grey levels, mean over the picture: beyond this it is another picture, at any quality setting. */
const MAX_DIFFERENCE = 20;

/** A neighbour must be nearer by this much, and by half, before it counts: encoders make noise too. */
const MARGIN = 0.75;

export interface Likeness {
  /** Mean difference in grey levels, over all frames. */
  readonly meanDifference: number;
  readonly worstDifference: number;
  /** First frame that is not what it should be, in words; undefined when all are. */
  readonly fault: string | undefined;
}

/** Some consecutive frames of a film. */
export interface Stretch {
  /** The frame that the thumbs begin with. */
  readonly startsAt: number;
  /** Frames to be compared, from … until (exclusive); the others are there as neighbours. */
  readonly from: number;
  readonly until: number;
}

/** Compares thumbs of equally many frames, both in display order. */
export function compareThumbs(
  source: Uint8Array,
  encoded: Uint8Array,
  stretch: Stretch = { startsAt: 0, from: 0, until: source.length / THUMB_BYTES },
): Likeness {
  const { startsAt, from, until } = stretch;
  const end = startsAt + source.length / THUMB_BYTES;
  const between = (shown: number, other: number): number =>
    difference(source, other - startsAt, encoded, shown - startsAt);
  let sum = 0;
  let worst = 0;
  let fault: string | undefined;
  for (let i = from; i < until; i += 1) {
    const own = between(i, i);
    sum += own;
    worst = Math.max(worst, own);
    fault ??= own > MAX_DIFFERENCE ? `frame ${i} shows another picture` : undefined;
    for (const other of [i - 1, i + 1]) {
      if (fault !== undefined || other < startsAt || other >= end || own < MARGIN) continue;
      if (between(i, other) + MARGIN < own / 2) {
        fault = `frame ${i} shows what frame ${other} should`;
      }
    }
  }
  const frames = until - from;
  return { meanDifference: frames === 0 ? 0 : sum / frames, worstDifference: worst, fault };
}

function difference(a: Uint8Array, frameA: number, b: Uint8Array, frameB: number): number {
  let sum = 0;
  const offsetA = frameA * THUMB_BYTES;
  const offsetB = frameB * THUMB_BYTES;
  for (let i = 0; i < THUMB_BYTES; i += 1) sum += Math.abs(a[offsetA + i]! - b[offsetB + i]!);
  return sum / THUMB_BYTES;
}
