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

/**
 * Where a picture is shown several times in a row, encoders at low quality let one of the frames stay as the one
 * before it now and then. Frames that were counted wrongly would do so at every change.
 */
const MAX_LAGS = 0.05;

export interface Likeness {
  /** Mean difference in grey levels, over all frames. */
  readonly meanDifference: number;
  readonly worstDifference: number;
  /** First frame that is not what it should be, in words; undefined when all are. */
  readonly fault: string | undefined;
}

/** Which of the source's frames the film's frames show; without it, each shows that of its own number. */
export interface ShownFrames {
  /** For each frame of the film, the source's frame that it shows or comes after. */
  readonly from: readonly number[];
  /** For each, how far on the way to the next it lies; above 0 it is made of both. */
  readonly part: readonly number[];
  /** For each, the one that it comes before; absent where that is always the next. */
  readonly to?: readonly number[];
}

/** Some consecutive frames of a film. */
export interface Stretch {
  /** The frames that the thumbs begin with: the film's and the source's. */
  readonly startsAt: number;
  readonly sourceStartsAt: number;
  /** Frames to be compared, from … until (exclusive). */
  readonly from: number;
  readonly until: number;
  readonly shown?: ShownFrames | undefined;
}

/** Compares thumbs of a film's frames with thumbs of its source's, both in display order. */
export function compareThumbs(
  source: Uint8Array,
  encoded: Uint8Array,
  stretch: Stretch = {
    startsAt: 0,
    sourceStartsAt: 0,
    from: 0,
    until: encoded.length / THUMB_BYTES,
  },
): Likeness {
  const { startsAt, sourceStartsAt, from, until, shown } = stretch;
  const end = sourceStartsAt + source.length / THUMB_BYTES;
  let sum = 0;
  let worst = 0;
  let fault: string | undefined;
  let lags = 0;
  let firstLag: string | undefined;
  for (let i = from; i < until; i += 1) {
    const like = shown?.from[i] ?? i;
    const to = (other: number): number =>
      difference(source, other - sourceStartsAt, encoded, i - startsAt);
    const after = shown?.to?.[i] ?? like + 1;
    const between = (shown?.part[i] ?? 0) > 0 && after < end;
    // What lies between two is no farther from the nearer one than that is from the other.
    const slack = between
      ? difference(source, like - sourceStartsAt, source, after - sourceStartsAt)
      : 0;
    const own = between ? Math.min(to(like), to(after)) : to(like);
    sum += own;
    worst = Math.max(worst, own);
    fault ??= own > MAX_DIFFERENCE + slack ? `frame ${i} shows another picture` : undefined;
    if (between) continue;
    for (const other of [like - 1, like + 1]) {
      if (fault !== undefined || other < sourceStartsAt || other >= end || own < MARGIN) continue;
      if (to(other) + MARGIN >= own / 2) continue;
      const late = `frame ${i} shows what frame ${other} should`;
      if (shown?.from[i - 1] === like || shown?.from[i + 1] === like) {
        lags += 1;
        firstLag ??= late;
      } else fault = late;
    }
  }
  const frames = until - from;
  if (lags > frames * MAX_LAGS) fault ??= firstLag;
  return { meanDifference: frames === 0 ? 0 : sum / frames, worstDifference: worst, fault };
}

function difference(a: Uint8Array, frameA: number, b: Uint8Array, frameB: number): number {
  let sum = 0;
  const offsetA = frameA * THUMB_BYTES;
  const offsetB = frameB * THUMB_BYTES;
  for (let i = 0; i < THUMB_BYTES; i += 1) sum += Math.abs(a[offsetA + i]! - b[offsetB + i]!);
  return sum / THUMB_BYTES;
}
