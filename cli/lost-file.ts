/** A file that cannot be read when its turn comes, although it could be a moment before. Pure. */
import { FurrowError } from '../kit/furrow-error.ts';
import type { LocalFile } from './local-files.ts';

/** FurrowError: invalid FILE_MISSING, FILE_UNREADABLE, where the error is of one of `files`; else the error itself. */
export function lostFile(error: unknown, files: readonly LocalFile[]): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || !files.some((file) => file.path === path)) return error;
  const isGone = code === 'ENOENT';
  const why = isGone
    ? `'${path}' is gone since it was looked at`
    : `cannot read '${path}': ${code}`;
  const reason = isGone ? 'FILE_MISSING' : 'FILE_UNREADABLE';
  return new FurrowError('invalid', reason, `${why}: nothing was submitted`, { cause: error });
}
