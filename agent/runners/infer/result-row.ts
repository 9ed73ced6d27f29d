/**
 * One row of `results.parquet`: what the line of the same picture or frame says, in columns that programs for
 * tables read as they are. Pure.
 */
import type { SchemaElement } from 'hyparquet';
import { resultLineOf, type ResultLine } from './result-line.ts';

/** What rows are of. */
export type RowKind = 'image' | 'frame';

interface Box {
  readonly xmin: number;
  readonly ymin: number;
  readonly xmax: number;
  readonly ymax: number;
}

interface FoundCell {
  readonly label: string;
  readonly class: number;
  readonly score: number;
  readonly box: Box | null;
}

export interface ResultRow {
  readonly image?: string;
  readonly frame?: number;
  readonly time?: number;
  /** Null, as are `height` and `found`, where it could not be looked at. */
  readonly width: number | null;
  readonly height: number | null;
  readonly found: readonly FoundCell[] | null;
  readonly error: string | null;
}

const NAMED: Readonly<Record<RowKind, readonly (keyof ResultRow)[]>> = {
  image: ['image'],
  frame: ['frame', 'time'],
};

/** In the order of the schema. */
export function columnsOf(kind: RowKind): readonly (keyof ResultRow)[] {
  return [...NAMED[kind], 'width', 'height', 'found', 'error'];
}

export function rowOf(line: ResultLine): ResultRow {
  if ('error' in line) return { ...line, width: null, height: null, found: null };
  const found = line.found.map(({ box, ...rest }) => ({ ...rest, box: boxOf(box) }));
  return { ...line, found, error: null };
}

function boxOf(box: readonly [number, number, number, number] | undefined): Box | null {
  if (box === undefined) return null;
  const [xmin, ymin, xmax, ymax] = box;
  return { xmin, ymin, xmax, ymax };
}

/** What a row says, as its line would; undefined when it says no such thing. `row`: as a reader gives it. */
export function lineOfRow(row: object): ResultLine | undefined {
  const { found, ...rest } = withoutNulls(row);
  if (found === undefined) return resultLineOf(rest);
  if (!Array.isArray(found)) return undefined;
  return resultLineOf({ ...rest, found: found.map(findingOf) });
}

function findingOf(cell: object): object {
  const { box, ...rest } = withoutNulls(cell);
  if (box === undefined) return rest;
  const { xmin, ymin, xmax, ymax } = box as Box;
  return { ...rest, box: [xmin, ymin, xmax, ymax] };
}

/** A reader may say null for what is not there, or nothing. */
function withoutNulls(cells: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(cells).filter(([, cell]) => cell !== null && cell !== undefined),
  );
}

type Element = Omit<SchemaElement, 'name'>;

const REQUIRED = { repetition_type: 'REQUIRED' } as const;
const OPTIONAL = { repetition_type: 'OPTIONAL' } as const;
const TEXT: Element = {
  type: 'BYTE_ARRAY',
  converted_type: 'UTF8',
  logical_type: { type: 'STRING' },
};
const WHOLE: Element = { type: 'INT32' };
const NUMBER: Element = { type: 'DOUBLE' };

/** The columns' types. A list has the three levels that the format's specification asks for. */
export function schemaOf(kind: RowKind): SchemaElement[] {
  const named: Readonly<Record<RowKind, readonly SchemaElement[]>> = {
    image: [{ name: 'image', ...TEXT, ...REQUIRED }],
    frame: [
      { name: 'frame', ...WHOLE, ...REQUIRED },
      { name: 'time', ...NUMBER, ...REQUIRED },
    ],
  };
  return [
    { name: 'results', num_children: columnsOf(kind).length },
    ...named[kind],
    { name: 'width', ...WHOLE, ...OPTIONAL },
    { name: 'height', ...WHOLE, ...OPTIONAL },
    {
      name: 'found',
      num_children: 1,
      converted_type: 'LIST',
      logical_type: { type: 'LIST' },
      ...OPTIONAL,
    },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
    { name: 'element', num_children: 4, ...REQUIRED },
    { name: 'label', ...TEXT, ...REQUIRED },
    { name: 'class', ...WHOLE, ...REQUIRED },
    { name: 'score', ...NUMBER, ...REQUIRED },
    { name: 'box', num_children: 4, ...OPTIONAL },
    ...['xmin', 'ymin', 'xmax', 'ymax'].map((name) => ({ name, ...NUMBER, ...REQUIRED })),
    { name: 'error', ...TEXT, ...OPTIONAL },
  ];
}
