/**
 * Keeps a log that another process writes from filling the disk. The writer has the file open to append,
 * and may outlive us: so the file stays, its content is kept as `.1` and cut off.
 */
import { copyFile, stat, truncate } from 'node:fs/promises';
import type { Clock } from '../../kit/clock.ts';

/** Two of them are kept at most: the file and the `.1` before it. */
const MAX_LOG_BYTES = 16 * 2 ** 20;
const LOOK_EVERY_MS = 5_000;

/** Until the answer is called. */
export function boundLog(path: string, clock: Clock, maxBytes = MAX_LOG_BYTES): () => void {
  let isOver = false;
  let cancel = (): void => {};
  const look = async (): Promise<void> => {
    await cutIfLong(path, maxBytes);
    if (!isOver) cancel = clock.after(LOOK_EVERY_MS, () => void look());
  };
  cancel = clock.after(LOOK_EVERY_MS, () => void look());
  return () => {
    isOver = true;
    cancel();
  };
}

/** What is written between the copy and the cut is lost: better than a full disk. */
async function cutIfLong(path: string, maxBytes: number): Promise<void> {
  try {
    if ((await stat(path)).size <= maxBytes) return;
    await copyFile(path, `${path}.1`);
    await truncate(path);
  } catch {
    // Gone, or the disk is full already: without its copy, then.
    await truncate(path).catch(() => undefined);
  }
}
