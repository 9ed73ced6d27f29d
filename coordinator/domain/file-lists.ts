/**
 * Steps whose units each take a part of a long list of files. The farm knows the list by its hash and how long
 * it is, never what stands in it.
 */
import { isSha256 } from './names.ts';
import type { Demand, File, FileListSpace, ParameterKind, StepSpec } from './task.ts';

/** A unit's inputs lie in one directory, and their names in memory while it runs. */
const MOST_FILES_A_UNIT = 10_000;
/** Names are compared when a list is submitted, which takes memory. */
const MOST_FILES = 1_000_000;
/** Agents that know of lists say so: others would run units without their files. */
export const TAKES_LISTS = 'takes:file-lists';

/** Undefined for a step whose units take none. */
export function fileListOf({
  parameters,
}: Pick<StepSpec, 'parameters'>): FileListSpace | undefined {
  return parameters?.kind?.$case === 'fileList' ? parameters.kind.value : undefined;
}

export function unitsOfList({ count, perUnit }: FileListSpace): number {
  return perUnit < 1 ? 0 : Math.ceil(count / perUnit);
}

/** Positions in the list of the files that a unit takes: `from` to before `to`. */
export function rangeOfUnit(
  { count, perUnit }: FileListSpace,
  unit: number,
): { readonly from: number; readonly to: number } {
  return { from: unit * perUnit, to: Math.min(count, (unit + 1) * perUnit) };
}

/** The first thing that is wrong with it before anybody has read the list; undefined when nothing is. */
export function faultOfFileList({
  list,
  perUnit,
  count,
  filesBytes,
}: FileListSpace): string | undefined {
  if (list === undefined || !isSha256(list.sha256)) {
    return 'takes files of a list, but names none: give the list as a file with its sha256';
  }
  if (!isFrom1To(count, MOST_FILES)) {
    return `takes files of a list of ${count}; it may have from 1 to ${MOST_FILES}: submit several jobs`;
  }
  if (!isFrom1To(perUnit, MOST_FILES_A_UNIT)) {
    return `gives each unit ${perUnit} files of its list; it may be from 1 to ${MOST_FILES_A_UNIT}`;
  }
  if (Number.isSafeInteger(filesBytes) && filesBytes >= 0) return undefined;
  return `says that the files of its list have ${filesBytes} bytes together`;
}

/** What stands for the list, and for all that it names, where sizes are summed up. */
export function filesOfList(kind: ParameterKind | undefined): readonly File[] {
  if (kind?.$case !== 'fileList' || kind.value.list === undefined) return [];
  const { list, filesBytes } = kind.value;
  return [{ ...list, sizeBytes: list.sizeBytes + filesBytes }];
}

/** The demand, with what an agent needs to take a part of a list. The same one where there is none. */
export function withListReader(demand: Demand, step: Pick<StepSpec, 'parameters'>): Demand {
  if (fileListOf(step) === undefined || demand.attributes.includes(TAKES_LISTS)) return demand;
  return { ...demand, attributes: [...demand.attributes, TAKES_LISTS] };
}

function isFrom1To(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= most;
}
