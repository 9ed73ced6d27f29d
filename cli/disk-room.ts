/** Whether a disk of this machine has room for what is to be downloaded: asked before, and told after. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { partOf } from './blobs.ts';
import type { Placement } from './fetch-outputs.ts';
import { formatBytes } from './output/format.ts';

/**
 * FurrowError: exhausted DISK_FULL when the files surely do not fit. What an earlier run brought of them
 * counts as there.
 */
export async function checkRoom(placements: readonly Placement[]): Promise<void> {
  const [first] = placements;
  if (first === undefined) return;
  const folder = dirname(first.path);
  let neededBytes = 0;
  for (const { file, path } of placements) {
    const there = await stat(partOf(path, file)).catch(() => undefined);
    neededBytes += Math.max(0, file.sizeBytes - (there?.size ?? 0));
  }
  // Some file systems do not say.
  const room = await statfs(folder).catch(() => undefined);
  if (room === undefined || room.blocks === 0) return;
  const freeBytes = room.bavail * room.bsize;
  if (neededBytes <= freeBytes) return;
  const sizes = `${formatBytes(neededBytes)} are needed, ${formatBytes(freeBytes)} are free`;
  const message = `the disk of '${folder}' has no room: ${sizes}; free some, or give another folder with -o`;
  throw new FurrowError('exhausted', 'DISK_FULL', message);
}

/** What a disk's own error means to a person; any other is passed through. */
export function diskFault(error: unknown, path: string, jobId: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  const message = `the disk of '${dirname(path)}' is full: free some, then furrow fetch ${jobId} goes on where it stopped`;
  return new FurrowError('exhausted', 'DISK_FULL', message, { cause: error });
}
