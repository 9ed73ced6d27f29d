/** Files of the user's machine, looked at before anything is sent or asked for. */
import { access, constants, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { unsafeName } from '../kit/safe-name.ts';

/** A file that may be handed to the farm. */
export interface LocalFile {
  readonly path: string;
  /** Under which units see it. */
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * FurrowError: invalid FILE_MISSING, FILE_IS_DIRECTORY, FILE_NOT_REGULAR, FILE_EMPTY, FILE_UNREADABLE,
 * FILE_NAME_UNSAFE. `name` is what the farm calls it; default the path's last part.
 */
export async function checkSource(path: string, name = basename(path)): Promise<LocalFile> {
  const shown = JSON.stringify(path).slice(1, -1);
  const fault = unsafeName(name);
  if (fault)
    throw bad('FILE_NAME_UNSAFE', `the name of '${shown}' cannot be used: ${fault}; rename it`);
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') {
      throw bad('FILE_MISSING', `there is no file '${shown}'`);
    }
    throw bad('FILE_UNREADABLE', `cannot read '${shown}': ${error.code ?? error.message}`);
  });
  if (stats.isDirectory())
    throw bad('FILE_IS_DIRECTORY', `'${shown}' is a folder: name a file in it`);
  if (!stats.isFile()) throw bad('FILE_NOT_REGULAR', `'${shown}' is not a regular file`);
  if (stats.size === 0) throw bad('FILE_EMPTY', `'${shown}' is empty`);
  await access(path, constants.R_OK).catch(() => {
    throw bad('FILE_UNREADABLE', `you may not read '${shown}'`);
  });
  return { path, name, sizeBytes: stats.size };
}

/** A folder that is there. FurrowError: invalid FOLDER_MISSING. */
export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/**
 * Whether a download may be put at `path`, before it is started. FurrowError: invalid FOLDER_MISSING,
 * TARGET_IS_DIRECTORY; conflict TARGET_EXISTS unless `force`.
 */
export async function checkTarget(path: string, force: boolean): Promise<void> {
  const folder = dirname(path);
  if (!(await isFolder(folder)))
    throw bad('FOLDER_MISSING', `there is no folder '${folder}' for ${path}`);
  await access(folder, constants.W_OK).catch(() => {
    throw bad('FOLDER_READ_ONLY', `you may not write in '${folder}'`);
  });
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory())
    throw bad('TARGET_IS_DIRECTORY', `'${path}' is a folder: name a file in it`);
  if (stats && !force) {
    const message = `'${path}' is there already: choose another name, or give --force to replace it`;
    throw new FurrowError('conflict', 'TARGET_EXISTS', message);
  }
}

function bad(reason: string, message: string): FurrowError {
  return new FurrowError('invalid', reason, message);
}
