/**
 * How many columns text takes on a terminal, cutting it to fit, and making what others wrote (names,
 * messages, log lines) safe to print. Screens are laid out with these and never with `length`.
 */
const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

const ZERO_WIDTH = /^[\p{Mark}\p{Default_Ignorable_Code_Point}\p{Control}]+$/u;
const EMOJI = /\p{Emoji_Presentation}|\p{Emoji}\u{fe0f}/u;
const WIDE =
  /[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{33ff}\u{3400}-\u{4dbf}\u{4e00}-\u{9fff}\u{a000}-\u{a4cf}\u{a960}-\u{a97f}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{20000}-\u{3fffd}]/u;

// eslint-disable-next-line no-control-regex -- colours are what is skipped here
const SGR = /\u001b\[[0-9;]*m/g;
// Everything that moves the cursor, rings, retitles the window or turns the writing direction.
const UNPRINTABLE =
  // eslint-disable-next-line no-control-regex -- these are what is removed
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_].*?(?:\u0007|\u001b\\|$)|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gs;

/** Columns that `text` takes; colour codes take none. */
export function textWidth(text: string): number {
  const plain = text.replace(SGR, '');
  // Printable ASCII, the usual case.
  if (/^[\u0020-\u007e]*$/.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of segmenter.segment(plain)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  if (ZERO_WIDTH.test(grapheme)) return 0;
  return EMOJI.test(grapheme) || WIDE.test(grapheme) ? 2 : 1;
}

/** Text without colours, cut to `columns` with an ellipsis. */
export function cutText(text: string, columns: number, ellipsis = '…'): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 0) return '';
  let width = 0;
  let cut = '';
  for (const { segment } of segmenter.segment(text)) {
    width += graphemeWidth(segment);
    if (width > columns - textWidth(ellipsis)) break;
    cut += segment;
  }
  return cut + ellipsis.slice(0, columns);
}

/** Text without colours, cut or padded on the right to exactly `columns`. */
export function fitText(text: string, columns: number): string {
  const cut = cutText(text, columns);
  return cut + ' '.repeat(Math.max(0, columns - textWidth(cut)));
}

/** One line of foreign text without anything that could steer a terminal. Tabs become spaces. */
export function printable(text: string): string {
  return text.replace(/\r?\n|\t/g, ' ').replace(UNPRINTABLE, '');
}
