/** Pictures of the user's machine: those of folders, and those that are named. */
import { readdir, readlink, stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, normalize, relative, sep } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { unsafeName } from '../kit/safe-name.ts';
import type { LocalFile } from './local-files.ts';

const ENDINGS = new Set(['.png', '.jpg', '.jpeg', '.jpe', '.webp', '.bmp', '.tif', '.tiff']);

export function isPictureName(name: string): boolean {
  return ENDINGS.has(extname(name).toLowerCase());
}

export interface FoundPictures {
  /** In the order of the arguments; those of a folder by name. */
  readonly pictures: readonly LocalFile[];
  /** Files in folders that have no picture's name. */
  readonly others: number;
}

/**
 * A file that is named is taken whatever it is called. FurrowError: invalid FILE_MISSING, FILE_NOT_REGULAR,
 * FILE_UNREADABLE, FILE_NAME_UNSAFE, NO_PICTURES.
 */
export async function findPictures(paths: readonly string[]): Promise<FoundPictures> {
  const pictures: LocalFile[] = [];
  let others = 0;
  for (const path of paths) {
    const stats = await statOf(path);
    if (!stats.isDirectory()) {
      if (!stats.isFile()) throw bad('FILE_NOT_REGULAR', `'${path}' is not a regular file`);
      pictures.push(named(path, nameOf(path), stats.size));
      continue;
    }
    const inside = await filesIn(path);
    const wanted = inside.filter(isPictureName).toSorted();
    others += inside.length - wanted.length;
    for (const name of wanted) {
      const shown = paths.length === 1 ? name : `${basename(path)}/${name}`;
      const file = await statOf(join(path, name));
      if (file.isFile()) pictures.push(named(join(path, name), shown, file.size));
      else others += 1;
    }
  }
  if (pictures.length > 0) return { pictures, others };
  const message = `there are no pictures in ${paths.join(', ')}: their names end in ${[...ENDINGS].join(', ')}`;
  throw bad('NO_PICTURES', message);
}

/** Relative, with slashes; what begins with a dot is left out. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')));
}

/** As it was given where that stays below the current folder, else its last part. */
function nameOf(path: string): string {
  const plain = normalize(path).split(sep).join('/');
  return isAbsolute(path) || plain.startsWith('../') ? basename(path) : plain;
}

function named(path: string, given: string, sizeBytes: number): LocalFile {
  const name = given.normalize('NFC');
  const fault = unsafeName(name);
  if (fault === undefined) return { path, name, sizeBytes };
  const shown = JSON.stringify(path).slice(1, -1);
  throw bad('FILE_NAME_UNSAFE', `the name of '${shown}' cannot be used: ${fault}; rename it`);
}

async function statOf(path: string) {
  return stat(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') {
      const target = await readlink(path).catch(() => undefined);
      const message =
        target === undefined
          ? `there is no file or folder '${path}'`
          : `'${path}' is a link to '${target}', which is not there: remove it, or mend it`;
      throw bad('FILE_MISSING', message);
    }
    throw bad('FILE_UNREADABLE', `cannot read '${path}': ${error.code ?? error.message}`);
  });
}

function bad(reason: string, message: string): FurrowError {
  return new FurrowError('invalid', reason, message);
}
