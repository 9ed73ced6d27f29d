/** Where a program lies, by the agent's PATH and never by a unit's. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { FurrowError } from '../../kit/furrow-error.ts';

/**
 * Its absolute path: on PATH, or relative to `cwd` if it names a folder. FurrowError: failed-precondition
 * TOOL_MISSING.
 */
export function findProgram(name: string, cwd: string): string {
  const candidates = /[/\\]/.test(name)
    ? [isAbsolute(name) ? name : resolve(cwd, name)]
    : (process.env['PATH'] ?? '')
        .split(delimiter)
        // A relative one would be searched where the agent happens to have been started.
        .filter((folder) => isAbsolute(folder))
        .map((folder) => join(folder, name));
  const found = candidates.find(isProgram);
  if (found !== undefined) return found;
  throw new FurrowError(
    'failed-precondition',
    'TOOL_MISSING',
    `${name} is not a program on this machine: install it, or put it on the agent's PATH`,
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
