/** Contexts as people read them. */
import type { ContextView } from '../context-view.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

const NO_FARM = 'none was started here: furrow up';

export function contextLines(
  contexts: readonly ContextView[],
  style: Style,
  columns: number | undefined,
): string[] {
  return renderTable(
    contexts,
    [
      { title: '', cell: ({ isCurrent }) => (isCurrent ? '*' : ' ') },
      {
        title: 'CONTEXT',
        cell: ({ name }) => name,
        paint: (text, { isCurrent }) => (isCurrent ? style.green(text) : text),
      },
      { title: 'FARM', cell: ({ address }) => address ?? NO_FARM },
      { title: 'KNOWN BY', cell: ({ knownBy }) => knownBy, flexible: true },
    ],
    style,
    columns,
  );
}

/** `prod is current: 10.0.0.5:7400`. */
export function contextChanged({ name, address }: ContextView, words: string): string {
  return `${name} ${words}: ${address ?? NO_FARM}`;
}

export function contextDetails(
  { name, isCurrent, address, knownBy, token }: ContextView,
  style: Style,
): string[] {
  const rows: [string, string][] = [
    ['context', `${name}${isCurrent ? ', the current one' : ''}`],
    ['farm', address ?? NO_FARM],
    ['known by', knownBy],
    ['token', token],
  ];
  return rows.map(([title, text]) => `${style.dim(title.padEnd(8))}  ${text}`);
}
