/**
 * How many pictures a unit looks at where nobody says. A unit begins with half a second in which the model waits,
 * and what it did is lost with its agent: it takes some seconds with most models. Pure.
 */

/** Of the model's own size, all together. */
const PIXELS_A_UNIT = 180_000_000;
/** Of large pictures the decoder takes longer than the model, and a unit's files must fit on small disks. */
const BYTES_A_UNIT = 512 * 2 ** 20;
const MOST = 1_024;
/** Fewer are hardly worth a beginning. */
const LEAST = 32;

export interface Pictures {
  /** At least 1. */
  readonly count: number;
  /** Of all their files together. */
  readonly filesBytes: number;
}

/**
 * `modelPixels`: of one picture as the model takes it. `places`: units that can run at once; 0 where that is not
 * known. Units are as even as they can be, so that none is left over for the end, and no place goes without.
 */
export function picturesAUnit(pictures: Pictures, modelPixels: number, places: number): number {
  const { count, filesBytes } = pictures;
  const byPixels = within(Math.floor(PIXELS_A_UNIT / Math.max(1, modelPixels)), LEAST, MOST);
  const byBytes = Math.floor(BYTES_A_UNIT / Math.max(1, filesBytes / count));
  const most = within(byBytes, 1, byPixels);
  const atOnce = Math.max(1, places);
  const rounds = Math.ceil(count / (atOnce * most));
  const even = Math.ceil(count / (atOnce * rounds));
  return Math.min(count, within(even, Math.min(LEAST, most), most));
}

function within(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
