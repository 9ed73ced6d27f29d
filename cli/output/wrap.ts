/** Prose in a window of some width: broken between words, what follows indented under what began. */
import { printable, textWidth } from './text-width.ts';

/** So narrow nobody reads: words stand on lines of their own before they are broken. */
const NARROWEST_COLUMNS = 16;

/**
 * The text in lines of at most `columns`, of which all but the first begin with `indent` spaces. A word that
 * is longer stays whole. `columns` undefined: in a pipe, where a line is a line.
 */
export function wrapText(text: string, columns: number | undefined, indent: number): string[] {
  const shown = printable(text);
  if (columns === undefined) return [shown];
  const width = Math.max(NARROWEST_COLUMNS, columns);
  const lines: string[] = [];
  let line = '';
  for (const [, space = '', word = ''] of shown.matchAll(/(\s*)(\S+)/g)) {
    if (line.trim() !== '' && textWidth(line + space + word) > width) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else line += space + word;
  }
  return [...lines, line];
}
