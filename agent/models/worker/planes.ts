/** Moves pixels between planes of values, of eight bits or sixteen, and planes of floats. The inner loops of everything: kept plain. */

import type { FrameValues, MadeValues } from './frame-values.ts';

/** One channel of a picture. */
export interface PlaneView<Values> {
  readonly values: Values;
  /** Of its first value. */
  readonly offset: number;
  /** From one value to the next: 3 where channels lie beside each other. */
  readonly step: number;
  readonly width: number;
  readonly height: number;
}

/** The tile at this place as floats; beyond the picture's edge its last column and row go on. */
export function tileOf(
  { values, offset, step, width, height }: PlaneView<FrameValues>,
  floats: Float32Array,
  at: { readonly x: number; readonly y: number },
  tile: { readonly width: number; readonly height: number },
  into: Float32Array,
): void {
  const inside = Math.min(tile.width, width - at.x);
  for (let row = 0; row < tile.height; row += 1) {
    const line = offset + Math.min(at.y + row, height - 1) * width * step;
    let from = line + at.x * step;
    let to = row * tile.width;
    for (const end = to + inside; to < end; to += 1) {
      into[to] = floats[values[from]!]!;
      from += step;
    }
    const edge = floats[values[line + (width - 1) * step]!]!;
    for (const end = (row + 1) * tile.width; to < end; to += 1) into[to] = edge;
  }
}

/** What of a tile goes where in the picture. */
export interface Kept {
  /** In the tile. */
  readonly left: number;
  readonly top: number;
  /** In the picture, from … until. */
  readonly x: number;
  readonly y: number;
  readonly endX: number;
  readonly endY: number;
}

interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** Rounded to whole values. False when one of the floats is no finite number. */
export function keepPlane(
  floats: Float32Array,
  floatsWidth: number,
  into: PlaneView<MadeValues>,
  spread: Spread,
  kept: Kept,
): boolean {
  const { values } = into;
  // Each its own loop: one for both would be slow in a process that sees films of either kind.
  return values instanceof Uint16Array
    ? keepWords(floats, floatsWidth, { ...into, values }, spread, kept)
    : keepBytes(floats, floatsWidth, { ...into, values }, spread, kept);
}

function keepBytes(
  floats: Float32Array,
  floatsWidth: number,
  { values, offset, step, width }: PlaneView<Uint8ClampedArray>,
  { mean, deviation }: Spread,
  { left, top, x, y, endX, endY }: Kept,
): boolean {
  // Whatever is not finite makes the sum no number, or infinite; so many finite ones never do.
  let sum = 0;
  for (let row = y; row < endY; row += 1) {
    let from = (top + row - y) * floatsWidth + left;
    let to = offset + (row * width + x) * step;
    for (const end = to + (endX - x) * step; to < end; to += step) {
      const value = floats[from]!;
      sum += value;
      values[to] = value * deviation + mean;
      from += 1;
    }
  }
  return Number.isFinite(sum);
}

function keepWords(
  floats: Float32Array,
  floatsWidth: number,
  { values, offset, step, width }: PlaneView<Uint16Array>,
  { mean, deviation }: Spread,
  { left, top, x, y, endX, endY }: Kept,
): boolean {
  let sum = 0;
  for (let row = y; row < endY; row += 1) {
    let from = (top + row - y) * floatsWidth + left;
    let to = offset + (row * width + x) * step;
    for (const end = to + (endX - x) * step; to < end; to += step) {
      const value = floats[from]!;
      sum += value;
      const word = value * deviation + mean + 0.5;
      // Words do not stop at their ends by themselves.
      values[to] = word < 0 ? 0 : word > MOST_WORD ? MOST_WORD : word;
      from += 1;
    }
  }
  return Number.isFinite(sum);
}

const MOST_WORD = 65_535;
