/** Settings as people read them. */
import type { ShownSetting, Source } from '../../kit/settings-sources.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

export function configLines(
  settings: readonly ShownSetting[],
  style: Style,
  columns: number | undefined,
): string[] {
  return renderTable(
    settings,
    [
      { title: 'SETTING', cell: ({ name }) => name },
      { title: 'VALUE', cell: ({ value }) => valueWords(value), flexible: true },
      {
        title: 'FROM',
        cell: ({ from }) => sourceWords(from),
        paint: (text, { from }) => (from.kind === 'default' ? style.dim(text) : text),
      },
    ],
    style,
    columns,
  );
}

function valueWords(value: unknown): string {
  if (value === undefined || value === '') return '-';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) {
    return value.join(',') || '-';
  }
  return JSON.stringify(value);
}

function sourceWords({ kind, name }: Source): string {
  switch (kind) {
    case 'flag':
    case 'default':
      return name || kind;
    case 'environment':
      return `$${name}`;
    case 'file':
    case 'context':
      return `${kind} ${name}`;
  }
}
