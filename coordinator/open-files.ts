/**
 * Every agent and every client keeps a connection, and each counts as an open file: when no more may be
 * open, newcomers are turned away and blobs cannot be read, long before anything else is short.
 */
import { readdir } from 'node:fs/promises';
import { mostOpenFiles } from '../kit/open-files.ts';

/** What is left for files, and for agents that come. */
const MOST_IN_USE = 0.8;

/** One line with the remedy, or undefined when there is room, or where it cannot be known. */
export async function openFilesTrouble(): Promise<string | undefined> {
  try {
    const most = (await mostOpenFiles()) ?? Infinity;
    return openFilesWarning((await readdir('/proc/self/fd')).length, most);
  } catch {
    // No Linux.
    return undefined;
  }
}

export function openFilesWarning(open: number, most: number): string | undefined {
  if (open < most * MOST_IN_USE) return undefined;
  return `${open} of ${most} files and connections that may be open are: raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) and start the coordinator again`;
}
