/** What has to be known of a TIFF because ffmpeg's decoder goes wrong without a word. Pure. */

const COMPRESSION = 259;
const TILE_WIDTH = 322;
const JPEG = 7;

/** How pixels are laid out, but for where and how many. */
const LAYOUT = [
  258, // bits
  COMPRESSION,
  262, // what numbers mean
  266, // order of bits
  277, // numbers for each pixel
  284, // together or apart
  292, // of faxes
  293,
  317, // differences in place of values
  320, // palette
  338, // transparency
  339, // whole numbers or not
  530, // coarser colour
] as const;
const ROWS_OF_STRIP = 278;

/**
 * Why it cannot be shown, with the remedy; undefined when it can. It would be black where it is compressed as JPEG, and
 * the tiles' bytes one after the other where it lies in tiles.
 */
export function whyUnshown(tags: ReadonlyMap<number, number>): string | undefined {
  const how = (what: string): string =>
    `it is a TIFF ${what}, which ffmpeg cannot show: save it as PNG, or with LZW`;
  if (tags.get(COMPRESSION) === JPEG) return how('compressed as JPEG');
  return tags.has(TILE_WIDTH) ? how('in tiles') : undefined;
}

/**
 * The same for those that one decoder may be given. What a TIFF does not say it takes from the one before: gray
 * pictures get its palette.
 */
export function layoutOf(tags: ReadonlyMap<number, number>): string {
  const said = LAYOUT.map((tag) => tags.get(tag) ?? '');
  return [...said, tags.has(ROWS_OF_STRIP)].join(' ');
}
