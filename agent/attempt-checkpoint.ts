/** The checkpoint directory of an attempt: filled with what an earlier one left, and saved while it runs. */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { unsafeName } from '../kit/safe-name.ts';
import type { Assignment } from './assignment.ts';

/** In the unit's directory. */
export const CHECKPOINT_FOLDER = 'furrow-checkpoint';
/** Tells a program the directory's absolute path. */
export const CHECKPOINT_VARIABLE = 'FURROW_CHECKPOINT';

export function leavesCheckpoints({ task }: Assignment): boolean {
  return task.kind?.$case === 'command' && task.kind.value.checkpoint === true;
}

/**
 * Makes the directory in the unit's own and puts the files there that an earlier attempt left. `place` puts
 * a file into a directory, to be read only: the program may write to its copies. Answers the directory.
 */
export async function fillCheckpoint(
  unitDirectory: string,
  files: readonly File[],
  place: (files: readonly File[], directory: string) => Promise<void>,
): Promise<string> {
  const directory = join(unitDirectory, CHECKPOINT_FOLDER);
  await mkdir(directory, { recursive: true });
  if (files.length === 0) return directory;
  const unsafe = files.find(({ name }) => unsafeName(name) !== undefined);
  if (unsafe !== undefined) {
    const message = `the checkpoint's file ${JSON.stringify(unsafe.name)} has a bad name`;
    throw new FurrowError('invalid', 'UNSAFE_NAME', message);
  }
  const placed = `${directory}.placed`;
  await mkdir(placed);
  await place(files, placed);
  for (const { name } of files) {
    const target = join(directory, name);
    await mkdir(dirname(target), { recursive: true });
    await rm(target, { force: true });
    await copyFile(join(placed, name), target, constants.COPYFILE_FICLONE);
  }
  await rm(placed, { recursive: true });
  return directory;
}
