/** One measured figure, what was to be reached, and the table they are printed in. */

export interface Figure {
  /** Such as `dispatch.units_per_s`. */
  readonly name: string;
  readonly value: number;
  /** Such as `1/s`, `ms`, `B`. */
  readonly unit: string;
  /** Undefined when nothing was promised: the figure is there to compare. */
  readonly reach: number | undefined;
  readonly ok: boolean;
}

/** A figure that should be at least `reach`. */
export function atLeast(name: string, value: number, unit: string, reach: number): Figure {
  return { name, value, unit, reach, ok: value >= reach };
}

/** A figure that should be at most `reach`. */
export function atMost(name: string, value: number, unit: string, reach: number): Figure {
  return { name, value, unit, reach, ok: value <= reach };
}

/** A figure that nothing was promised of. */
export function plain(name: string, value: number, unit: string): Figure {
  return { name, value, unit, reach: undefined, ok: true };
}

/** The value below which a share of all lies; `share` from 0 to 1. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${rounded(figure.value)} ${figure.unit}`,
    figure.reach === undefined ? '' : `${rounded(figure.reach)} ${figure.unit}`,
    figure.reach === undefined ? '' : figure.ok ? 'yes' : 'no',
  ]);
  const lines = [['figure', 'value', 'to reach', 'reached'], ...rows];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  return lines
    .map((line) => line.map((cell, at) => padded(cell, widths[at] ?? 0, at === 0)).join('  '))
    .join('\n');
}

function padded(cell: string, width: number, isName: boolean): string {
  return isName ? cell.padEnd(width) : cell.padStart(width);
}

function rounded(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
