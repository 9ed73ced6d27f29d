/**
 * A file that one process holds at a time. It names the holder by pid and start, so that one left
 * behind by a crash holds nobody up.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isRunning, processStart } from './process-identity.ts';

export type ProcessLock =
  | { readonly state: 'held'; readonly release: () => void }
  | { readonly state: 'taken'; readonly pid: number };

export function takeProcessLock(path: string): ProcessLock {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  const ours = `${process.pid} ${processStart(process.pid) ?? ''}`;
  writeFileSync(draft, ours, { mode: 0o600 });
  try {
    for (;;) {
      try {
        // A link is made whole or not at all, and never over another.
        linkSync(draft, path);
        return { state: 'held', release: () => rmSync(path, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const [pid = '', start = ''] = readHolder(path).split(/ (.*)/s);
      if (isRunning(Number(pid), start)) return { state: 'taken', pid: Number(pid) };
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Released since.
    return '';
  }
}
