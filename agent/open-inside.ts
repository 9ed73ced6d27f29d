/**
 * Files in a unit's folder, read while its program may still be at work there: what was a file a moment ago can
 * be a link to the agent's own secrets now, or a pipe that never answers.
 */
import { constants } from 'node:fs';
import { lstat, open, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Calls `read` with a path of the file that stays the same file, whatever becomes of its name. `root` is the
 * folder's true path, learned before the program started. FurrowError: invalid NOT_A_FILE when it is no file, or
 * is not in the folder.
 */
export async function readInside<T>(
  root: string,
  name: string,
  read: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(root, name);
  const handle = await open(path, FLAGS).catch((error: NodeJS.ErrnoException) => {
    // ELOOP: a link; ENXIO: a socket, or a device that is not there.
    throw error.code === 'ELOOP' || error.code === 'ENXIO' ? notAFile(name) : error;
  });
  try {
    if (!(await handle.stat()).isFile()) throw notAFile(name);
    if (process.platform === 'linux') {
      const itself = `/proc/self/fd/${handle.fd}`;
      // A folder on the way may be a link: the kernel knows where it led.
      if ((await readlink(itself)) !== path) throw notAFile(name);
      return await read(itself);
    }
    if (!(await isStill(handle, path))) throw notAFile(name);
    return await read(path);
  } finally {
    await handle.close();
  }
}

async function isStill(handle: FileHandle, path: string): Promise<boolean> {
  const [opened, there] = await Promise.all([handle.stat(), lstat(path)]);
  return opened.ino === there.ino && (await realpath(path)) === path;
}

function notAFile(name: string): FurrowError {
  const message = `${JSON.stringify(name)} is not a file of the unit: links, pipes and devices are not taken`;
  return new FurrowError('invalid', 'NOT_A_FILE', message);
}
