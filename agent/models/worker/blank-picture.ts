/** Whether a model made nothing of something: a picture of one colour of one that has shapes. */
import { type FrameValues, type MadeValues, valuesAByte } from './frame-values.ts';

/** So many values are looked at, spread over the picture. */
const LOOKS = 4096;
/** Grey levels between the darkest and the brightest: a picture has shapes, or has none. */
const SHAPES = 24;
const NOTHING = 2;

export function looksBlank(source: FrameValues, made: MadeValues): boolean {
  return rangeOf(source) > SHAPES && rangeOf(made) < NOTHING;
}

function rangeOf(values: FrameValues | MadeValues): number {
  const planes = 3;
  // Each channel for itself: a red picture has two ranges of values, and no shapes.
  const step = Math.max(1, Math.floor(values.length / planes / LOOKS)) * planes;
  let widest = 0;
  for (let plane = 0; plane < planes; plane += 1) {
    let [low, high] = [Infinity, 0];
    for (let i = plane; i < values.length; i += step) {
      low = Math.min(low, values[i]!);
      high = Math.max(high, values[i]!);
    }
    widest = Math.max(widest, high - low);
  }
  return widest / valuesAByte(values);
}
