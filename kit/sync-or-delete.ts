/** Fsync of a file that somebody may come back for. */
import { rm, type FileHandle } from 'node:fs/promises';

/**
 * Fsyncs the open file at `path`, and deletes it when that fails: the system may have dropped what the
 * disk did not take, says so once, and the next fsync succeeds without it. Rejects with the file
 * system's error.
 */
export async function syncOrDelete(handle: FileHandle, path: string): Promise<void> {
  try {
    await handle.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
