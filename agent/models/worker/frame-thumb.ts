/**
 * Tells by tiny grey copies whether two frames that follow each other belong to one scene. Between frames of two
 * scenes there is nothing to be made: their blend is a picture that nobody filmed.
 */
import type { FrameSize } from '../model-work.ts';
import { type FrameValues, valuesAByte } from './frame-values.ts';

const WIDTH = 32;
const HEIGHT = 18;
/** So many pixels of each cell are looked at along an axis, spread over it. */
const LOOKS = 6;

/** Grey levels, row by row. Small pictures give fewer cells. */
export type FrameThumb = Float32Array;

/** Of a frame of RGB. */
export function thumbOf(frame: FrameValues, { width, height }: FrameSize): FrameThumb {
  const columns = Math.min(WIDTH, width);
  const rows = Math.min(HEIGHT, height);
  const thumb = new Float32Array(columns * rows);
  const aLevel = valuesAByte(frame);
  for (let row = 0; row < rows; row += 1) {
    const ys = looksIn(row, rows, height);
    for (let column = 0; column < columns; column += 1) {
      let sum = 0;
      const xs = looksIn(column, columns, width);
      for (const y of ys) {
        for (const x of xs) {
          const at = (y * width + x) * 3;
          sum += 0.299 * frame[at]! + 0.587 * frame[at + 1]! + 0.114 * frame[at + 2]!;
        }
      }
      thumb[row * columns + column] = sum / (xs.length * ys.length * aLevel);
    }
  }
  return thumb;
}

/** Positions along an axis that cell `index` of `cells` looks at. */
function looksIn(index: number, cells: number, length: number): number[] {
  const from = (index * length) / cells;
  const size = length / cells;
  const looks = Math.max(1, Math.min(LOOKS, Math.floor(size)));
  return Array.from({ length: looks }, (_, i) => Math.floor(from + ((i + 0.5) * size) / looks));
}

/** How two frames that follow each other differ. */
export interface FrameStep {
  /** Mean over the picture, in grey levels. */
  readonly difference: number;
  /** Of their shapes: 1 for the same at any brightness, 0 for such as have nothing to do with each other. */
  readonly likeness: number;
}

export function stepBetween(a: FrameThumb, b: FrameThumb): FrameStep {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [sum, both, ownA, ownB] = [0, 0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    sum += Math.abs(a[i]! - b[i]!);
    const [da, db] = [a[i]! - meanA, b[i]! - meanB];
    both += da * db;
    ownA += da * da;
    ownB += db * db;
  }
  const spread = Math.sqrt(ownA * ownB);
  return { difference: sum / a.length, likeness: spread === 0 ? 0 : both / spread };
}

/**
 * What a cut is: shapes that are no longer alike, in a step that stands out from those around it, as fast motion
 * does not, for it goes on. The more a step stands out, the more alike may two scenes be.
 */
const CUTS: readonly {
  /** Grey levels. */
  readonly difference: number;
  /** Times the steps around it. */
  readonly outstanding: number;
  readonly likeness: number;
}[] = [
  { difference: 5, outstanding: 2.5, likeness: 0.7 },
  { difference: 15, outstanding: 10, likeness: 0.92 },
];

/** Still pictures have steps of nothing, of which anything is many times as much. */
const NOISE = 0.5;

/**
 * Whether another scene begins between two frames. `before` and `after`: the steps around theirs, where
 * there are any. A flash of one frame has a cut on both sides.
 */
export function isSceneCut(
  here: FrameStep,
  before: FrameStep | undefined,
  after: FrameStep | undefined,
): boolean {
  const steps = [before, after].flatMap((step) => step?.difference ?? []);
  const around = NOISE + (steps.length === 0 ? 0 : Math.min(...steps));
  return CUTS.some(
    ({ difference, outstanding, likeness }) =>
      here.difference >= difference &&
      here.difference > outstanding * around &&
      here.likeness < likeness,
  );
}

function meanOf(values: FrameThumb): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
