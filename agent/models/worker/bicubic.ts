/** A plane of values larger by a whole factor, by bicubic interpolation (Catmull-Rom), edges going on. */
import type { FrameSize } from '../model-work.ts';
import type { FrameValues, MadeValues } from './frame-values.ts';

interface Tap {
  /** Of the four values around, the first; may lie outside. */
  readonly first: number;
  readonly weights: readonly [number, number, number, number];
}

export function bicubicPlane(
  from: FrameValues,
  { width, height }: FrameSize,
  scale: number,
  into: MadeValues,
): void {
  // Words neither round nor stop at their ends by themselves.
  const isDeep = into instanceof Uint16Array;
  const columns = tapsOf(width, scale);
  const rows = tapsOf(height, scale);
  const wide = new Float32Array(width * scale * height);
  for (let y = 0; y < height; y += 1) {
    for (const [x, { first, weights }] of columns.entries()) {
      let sum = 0;
      for (let i = 0; i < 4; i += 1) {
        const at = Math.min(Math.max(first + i, 0), width - 1);
        sum += weights[i]! * from[y * width + at]!;
      }
      wide[y * width * scale + x] = sum;
    }
  }
  for (const [y, { first, weights }] of rows.entries()) {
    const lines = [0, 1, 2, 3].map(
      (i) => Math.min(Math.max(first + i, 0), height - 1) * width * scale,
    );
    for (let x = 0; x < width * scale; x += 1) {
      let sum = 0;
      for (let i = 0; i < 4; i += 1) sum += weights[i]! * wide[lines[i]! + x]!;
      into[y * width * scale + x] = isDeep ? Math.min(Math.max(sum + 0.5, 0), MOST_WORD) : sum;
    }
  }
}

const MOST_WORD = 65_535;

function tapsOf(length: number, scale: number): readonly Tap[] {
  return Array.from({ length: length * scale }, (_, i) => {
    const centre = (i + 0.5) / scale - 0.5;
    const whole = Math.floor(centre);
    const t = centre - whole;
    return {
      first: whole - 1,
      weights: [
        ((-t + 2) * t - 1) * t * 0.5,
        ((3 * t - 5) * t * t + 2) * 0.5,
        ((-3 * t + 4) * t + 1) * t * 0.5,
        (t - 1) * t * t * 0.5,
      ],
    };
  });
}
