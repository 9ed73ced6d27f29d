/** Which files an attempt is given, where the grant does not name them all, and how they come into its directory. */
import { createReadStream } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readSlice } from '../kit/file-list.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { unsafeName } from '../kit/safe-name.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { FileList } from '../proto/gen/furrow/work/v1/work.ts';
import type { Assignment } from './assignment.ts';
import { someAtOnce } from './some-at-once.ts';
import { clashOf } from './input-names.ts';

/** Puts files into the attempt's directory under their names, fetched if need be. */
export type PlaceFiles = (files: readonly File[], directory: string) => Promise<void>;

export interface UnitInputs {
  /** All of them. */
  readonly all: readonly File[];
  /** The unit's part of its step's list, in order. */
  readonly part: readonly File[];
}

/** What an agent says of itself that knows of lists, as the coordinator's domain has it. */
export const TAKES_LISTS = 'takes:file-lists';

const INPUT_LIST = 'furrow-inputs.list';
/** Room for half a million inputs. */
const MOST_LIST_BYTES = 64 * 2 ** 20;
const FILE_LIST = 'furrow-files.list';
/** Small files are mostly waiting: so many come at once. Larger ones come one by one, as disks like them. */
const SMALL_BYTES = 4 * 1024 * 1024;
const SMALL_AT_ONCE = 8;

/** Lists lie among the unit's files only while they are read. FurrowError: as `place`; invalid LIST_INVALID … */
export async function inputsOf(
  assignment: Assignment,
  directory: string,
  place: PlaceFiles,
): Promise<UnitInputs> {
  const common = await commonInputs(assignment, directory, place);
  const part = await partOfList(assignment, directory, place);
  const { item } = assignment;
  return { all: [...common, ...(item === null ? [] : [item]), ...part], part };
}

async function commonInputs(
  { inputs, inputList }: Assignment,
  directory: string,
  place: PlaceFiles,
): Promise<readonly File[]> {
  if (inputList === undefined) return inputs;
  const { sizeBytes } = inputList;
  if (sizeBytes > MOST_LIST_BYTES) {
    const message = `its list of inputs has ${sizeBytes} bytes, more than ${MOST_LIST_BYTES}`;
    throw new FurrowError('invalid', 'BAD_INPUT_LIST', message);
  }
  return withList(inputList, INPUT_LIST, directory, place, async (path) =>
    readList(await readFile(path)),
  );
}

/** FurrowError: invalid BAD_INPUT_LIST. */
function readList(bytes: Uint8Array): readonly File[] {
  try {
    return FileList.decode(bytes).files;
  } catch (error) {
    const message = `its list of inputs cannot be read: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'BAD_INPUT_LIST', message, { cause: error });
  }
}

async function partOfList(
  { fileList, unit }: Assignment,
  directory: string,
  place: PlaceFiles,
): Promise<readonly File[]> {
  if (fileList?.list === undefined) return [];
  const { list, perUnit, count } = fileList;
  const range = { from: unit * perUnit, to: Math.min(count, (unit + 1) * perUnit) };
  return withList(list, FILE_LIST, directory, place, (path) =>
    readSlice(createReadStream(path), range),
  );
}

async function withList(
  list: File,
  name: string,
  directory: string,
  place: PlaceFiles,
  read: (path: string) => Promise<readonly File[]>,
): Promise<readonly File[]> {
  await place([{ ...list, name }], directory);
  const path = join(directory, name);
  const files = await read(path);
  await rm(path);
  return files;
}

/** FurrowError: invalid UNSAFE_NAME, NAME_TAKEN. */
export function checkNames(inputs: readonly File[]): void {
  for (const { name } of inputs) {
    const why = unsafeName(name);
    if (why === undefined) continue;
    const message = `the input ${JSON.stringify(name)} has a bad name: ${why}`;
    throw new FurrowError('invalid', 'UNSAFE_NAME', message);
  }
  const clash = clashOf(inputs);
  if (clash !== undefined) throw new FurrowError('invalid', 'NAME_TAKEN', clash);
}

/** `place` for each file. Settles when nothing is under way any more; rejects with the first error. */
export async function placeAll(
  files: readonly File[],
  place: (file: File) => Promise<unknown>,
): Promise<void> {
  const isSmall = ({ sizeBytes }: File): boolean => sizeBytes <= SMALL_BYTES;
  for (const file of files) if (!isSmall(file)) await place(file);
  await someAtOnce(files.filter(isSmall), SMALL_AT_ONCE, place);
}
