/**
 * The steps of a job with many, as the journal and its snapshots store them: steps that are alike but for
 * texts and whole numbers are held once, and what differs stands in columns. A job of 2,000 films has 10,000
 * steps of five kinds: row by row they take 3.7 MB and a second to write, and no general compression
 * brings them below what a fact may take.
 */
import type {
  PackedSteps,
  StepColumn,
  StepGroup,
} from '../../proto/gen/furrow/journal/v1/steps.ts';
import type { StepSpec } from '../domain/task.ts';

/** Fewer are written as they are, so that earlier versions can read them. */
export const MANY_STEPS = 200;
/** More are damage: no job has so many. */
const MOST_STEPS = 100_000;

type Leaf = string | number;

/** A step taken apart: what it has in common with others of its group, and what may differ. */
interface Parts {
  readonly shape: string;
  readonly leaves: readonly Leaf[];
}

interface Group {
  readonly first: StepSpec;
  /** By leaf: its value in each step. */
  readonly columns: Leaf[][];
}

export function packSteps(steps: readonly StepSpec[]): PackedSteps {
  const indexes = new Map<string, number>();
  const groups: Group[] = [];
  const order = steps.map((step) => {
    const { shape, leaves } = partsOf(step);
    const index = indexes.get(shape) ?? groups.length;
    const group = groups[index] ?? { first: step, columns: leaves.map(() => []) };
    if (index === groups.length) {
      indexes.set(shape, index);
      groups.push(group);
    }
    leaves.forEach((leaf, place) => group.columns[place]?.push(leaf));
    return index;
  });
  return { groups: groups.map(groupToWire), order };
}

function partsOf(step: StepSpec): Parts {
  const leaves: Leaf[] = [];
  let shape = '';
  const walk = (value: unknown): void => {
    if (typeof value === 'string') {
      shape += 's';
      leaves.push(value);
    } else if (isColumnNumber(value)) {
      shape += 'n';
      leaves.push(value);
    } else if (Array.isArray(value)) {
      shape += `[${value.length} `;
      for (const item of value) walk(item);
    } else if (typeof value === 'object' && value !== null) {
      shape += '{';
      for (const [key, field] of Object.entries(value)) {
        if (field === undefined) continue;
        // With its length: a map's keys may hold anything.
        shape += `${key.length}${key}`;
        // Which case a oneof is decides which fields it has.
        if (key === '$case') shape += `=${String(field)} `;
        else walk(field);
      }
      shape += '}';
    } else shape += `${Object.is(value, -0) ? '-0' : String(value)} `;
  };
  walk(step);
  return { shape, leaves };
}

function isColumnNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && ((value as number) > 0 || Object.is(value, 0));
}

function groupToWire({ first, columns }: Group): StepGroup {
  const places = placesOf(first);
  const known = new Map<string, StepColumn & { places: { keys: string[] }[] }>();
  columns.forEach((values, index) => {
    const [head] = values;
    const place = places[index];
    if (place === undefined || values.every((value) => value === head)) return;
    // Names stand at several places of a step.
    const content = JSON.stringify(values);
    const same = known.get(content);
    if (same !== undefined) same.places.push(place);
    else known.set(content, { places: [place], ...listOf(values) });
  });
  return { first, columns: [...known.values()] };
}

function listOf(values: readonly Leaf[]): Pick<StepColumn, 'texts' | 'numbers'> {
  const texts = values.filter((value) => typeof value === 'string');
  const numbers = values.filter((value) => typeof value === 'number');
  return { texts, numbers };
}

/** Of each leaf, in the order of `partsOf`. */
function placesOf(step: StepSpec): { readonly keys: string[] }[] {
  const places: { readonly keys: string[] }[] = [];
  const walk = (value: unknown, keys: readonly string[]): void => {
    if (typeof value === 'string' || isColumnNumber(value)) places.push({ keys: [...keys] });
    else if (typeof value === 'object' && value !== null) {
      for (const [key, field] of Object.entries(value)) {
        if (field !== undefined && key !== '$case') walk(field, [...keys, key]);
      }
    }
  };
  walk(step, []);
  return places;
}

/**
 * The steps that were packed; what those of a group have in common is one object. Throws when the columns do
 * not fit the steps.
 */
export function unpackSteps({ groups, order }: PackedSteps): StepSpec[] {
  if (order.length > MOST_STEPS) throw new Error(`a job of ${order.length} steps`);
  const sizes = groups.map(() => 0);
  for (const index of order) sizes[index] = (sizes[index] ?? 0) + 1;
  const moulds = groups.map((group, index) => mouldOf(group, sizes[index] ?? 0));
  const rows = groups.map(() => 0);
  return order.map((index) => {
    const mould = moulds[index];
    const row = rows[index] ?? 0;
    if (mould === undefined) throw new Error('a step of no group');
    rows[index] = row + 1;
    return cast(mould.first, mould.differing, row) as StepSpec;
  });
}

/** What differs below a place of a step: a column, or places further in. */
type Differing = readonly Leaf[] | Map<string, Differing>;

interface Mould {
  readonly first: unknown;
  readonly differing: Map<string, Differing>;
}

function mouldOf({ first, columns }: StepGroup, size: number): Mould {
  const differing = new Map<string, Differing>();
  for (const { places, texts, numbers } of columns) {
    const values = texts.length > 0 ? texts : numbers;
    if (values.length !== size) throw new Error('a column of another length than its group');
    for (const { keys } of places) {
      if (typeof fieldAt(first, keys) !== typeof values[0]) {
        throw new Error('a column of no place in its steps');
      }
      put(differing, keys, values);
    }
  }
  return { first, differing };
}

function fieldAt(step: unknown, keys: readonly string[]): unknown {
  let value = step;
  for (const key of keys) {
    const isInside = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    value = isInside ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
  }
  return value;
}

function put(differing: Map<string, Differing>, keys: readonly string[], values: readonly Leaf[]) {
  let at = differing;
  for (const key of keys.slice(0, -1)) {
    const known = at.get(key);
    const next = known instanceof Map ? known : new Map<string, Differing>();
    at.set(key, next);
    at = next;
  }
  at.set(keys.at(-1) ?? '', values);
}

/** A copy with the values of one row; what is the same in all rows is not copied. */
function cast(value: unknown, differing: Differing | undefined, row: number): unknown {
  if (differing === undefined) return value;
  if (!(differing instanceof Map)) return differing[row];
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => cast(item, differing.get(String(index)), row));
  }
  const copy: Record<string, unknown> = { ...(value as Readonly<Record<string, unknown>>) };
  for (const [key, inside] of differing) copy[key] = cast(copy[key], inside, row);
  return copy;
}
