/** Moves pixels between planes of bytes and planes of floats. The inner loops of everything: kept plain. */

/** One channel of a picture. */
export interface PlaneView<Bytes> {
  readonly bytes: Bytes;
  /** Of its first value. */
  readonly offset: number;
  /** From one value to the next: 3 where channels lie beside each other. */
  readonly step: number;
  readonly width: number;
  readonly height: number;
}

/** The tile at this place as floats; beyond the picture's edge its last column and row go on. */
export function tileOf(
  { bytes, offset, step, width, height }: PlaneView<Uint8Array>,
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
      into[to] = floats[bytes[from]!]!;
      from += step;
    }
    const edge = floats[bytes[line + (width - 1) * step]!]!;
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

/** Rounded to bytes. False when one of the values is no finite number. */
export function keepPlane(
  floats: Float32Array,
  floatsWidth: number,
  { bytes, offset, step, width }: PlaneView<Uint8ClampedArray>,
  { mean, deviation }: { readonly mean: number; readonly deviation: number },
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
      bytes[to] = value * deviation + mean;
      from += 1;
    }
  }
  return Number.isFinite(sum);
}
