/** Rows in aligned columns, for screens and pipes alike. */
import type { Style } from './style.ts';
import { cutText, printable, textWidth } from './text-width.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly align?: 'right';
  /** Gives way when the terminal is narrow. At most one column of a table. */
  readonly flexible?: true;
  readonly paint?: (text: string, row: Row) => string;
}

const GAP = '  ';
const NARROWEST_FLEXIBLE = 8;

/**
 * A header and one line a row. `columns` is the terminal's width, or undefined in a pipe, where
 * nothing is ever cut.
 */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  style: Style,
  terminalColumns: number | undefined,
): string[] {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  const widths = columns.map((column, i) =>
    Math.max(textWidth(column.title), ...cells.map((line) => textWidth(line[i]!))),
  );
  const flexible = columns.findIndex((column) => column.flexible);
  if (terminalColumns !== undefined && flexible >= 0) {
    const total = widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
    const over = Math.max(0, total - terminalColumns);
    widths[flexible] = Math.max(NARROWEST_FLEXIBLE, widths[flexible]! - over);
  }
  const line = (texts: readonly string[], paint: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => {
        const cut = cutText(text, widths[i]!);
        const padding = ' '.repeat(widths[i]! - textWidth(cut));
        const painted = paint(cut, i);
        if (columns[i]!.align === 'right') return padding + painted;
        return i === texts.length - 1 ? painted : painted + padding;
      })
      .join(GAP)
      .trimEnd();
  return [
    line(
      columns.map((column) => column.title),
      (text) => style.dim(text),
    ),
    ...rows.map((row, r) => line(cells[r]!, (text, i) => columns[i]!.paint?.(text, row) ?? text)),
  ];
}
