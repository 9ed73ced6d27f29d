/**
 * One agent for each state folder: a second would end the first one's units as leftovers. The lock
 * names a process by pid and start, so that one left behind by a crash holds nobody up.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { isRunning, processStart } from '../kit/process-identity.ts';

/** Answers how to release it. FurrowError: conflict STATE_IN_USE. */
export function lockState(stateDirectory: string): () => void {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const path = join(stateDirectory, 'lock');
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${process.pid} ${processStart(process.pid) ?? ''}\n`);
  try {
    for (let tries = 0; tries < 3; tries += 1) {
      try {
        // A link is made whole or not at all, and never over another.
        linkSync(draft, path);
        return () => rmSync(path, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      refuseIfHeld(path, stateDirectory);
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw inUse(stateDirectory, 'another process');
}

function refuseIfHeld(path: string, stateDirectory: string): void {
  let holder: string;
  try {
    holder = readFileSync(path, 'utf8').trim();
  } catch {
    return;
  }
  const [pid = '', start = ''] = holder.split(/ (.*)/s);
  if (isRunning(Number(pid), start)) throw inUse(stateDirectory, `process ${pid}`);
}

function inUse(stateDirectory: string, who: string): FurrowError {
  return new FurrowError(
    'conflict',
    'STATE_IN_USE',
    `an agent (${who}) runs with the state folder ${stateDirectory} already: give this one another --name`,
  );
}
