/** A small file in the agent's state folder that is read at start and replaced whole. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface StateFile {
  /** For people. */
  readonly path: string;
  /** Undefined when there is none. Throws when it cannot be read. */
  read(): string | undefined;
  /** On disk, whole, when it returns. Throws when it cannot be written. */
  replace(text: string): void;
}

export function stateFile(stateDirectory: string, name: string): StateFile {
  const path = join(stateDirectory, name);
  return {
    path,
    read: () => {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    replace: (text) => replaceFile(path, text),
  };
}

function replaceFile(path: string, text: string): void {
  const file = openSync(`${path}.draft`, 'w', 0o600);
  try {
    writeFileSync(file, text);
    // Without it a power cut may leave an empty file under the right name.
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.draft`, path);
}
