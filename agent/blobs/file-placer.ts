/** Gives a file a second place, in the cheapest way that the disks allow, with the mode that it has. */
import { constants } from 'node:fs';
import { copyFile, link, unlink } from 'node:fs/promises';
import { FurrowError } from '../../kit/furrow-error.ts';

export class FilePlacer {
  /** Few file systems share blocks: those that do not are asked once. */
  #sharesBlocks = true;

  /** FurrowError: conflict NAME_TAKEN; else what the disk says, and nothing is left at `to`. */
  async place(from: string, to: string): Promise<void> {
    for (const way of this.#sharesBlocks ? [reflink, link, copy] : [link, copy]) {
      try {
        return await way(from, to);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EEXIST') {
          throw new FurrowError('conflict', 'NAME_TAKEN', `there is a file at ${to} already`);
        }
        if (way === copy || code === 'ENOSPC') {
          await unlink(to).catch(() => undefined);
          throw error;
        }
        if (way === reflink && NOT_HERE.has(code ?? '')) this.#sharesBlocks = false;
      }
    }
  }
}

/** What kernels say of file systems that share no blocks. */
const NOT_HERE: ReadonlySet<string> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY']);

const reflink = (from: string, to: string): Promise<void> =>
  copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
const copy = (from: string, to: string): Promise<void> =>
  copyFile(from, to, constants.COPYFILE_EXCL);
