/** What units of each kind of work take, as a table. */
import type { LearnedSize } from '../../proto/gen/furrow/v1/farm_service.ts';
import { formatBytes, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

export function sizeLines(
  sizes: readonly LearnedSize[],
  style: Style,
  columns: number | undefined,
): string[] {
  if (sizes.length === 0) return ['nothing is learned yet: it takes five units of a kind'];
  return renderTable(
    sizes,
    [
      { title: 'KIND', cell: (size) => size.kind, flexible: true },
      { title: 'UNITS', cell: (size) => String(size.units), align: 'right' },
      { title: 'MEMORY', cell: (size) => bytesOrNone(size.ramBytes), align: 'right' },
      { title: 'VRAM', cell: (size) => bytesOrNone(size.vramBytes), align: 'right' },
      { title: 'TIME', cell: (size) => formatDuration(size.runMs), align: 'right' },
    ],
    style,
    columns,
  );
}

const bytesOrNone = (bytes: number): string => (bytes === 0 ? '-' : formatBytes(bytes));
