/** How many files and connections a process may have open: this one, and those that it starts. */
import { readFile } from 'node:fs/promises';

/** Undefined where it cannot be known, or nothing limits it. */
export async function mostOpenFiles(): Promise<number | undefined> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  // Node raises its own limit to the hard one at its start.
  const most = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return most === undefined ? undefined : Number(most);
}
