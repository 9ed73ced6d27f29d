/** Tools that Furrow's own recipes use: proven wherever they are installed, without being declared. */
import { findProgram } from '../process/find-program.ts';
import type { DeclaredTools } from './declared-tools.ts';

const KNOWN: DeclaredTools = { blender: ['blender', '-b', '--version'] };

/** The known ones that are on PATH, but for those that the owner declares under the same name. */
export function knownTools(declared: DeclaredTools): DeclaredTools {
  const present = Object.entries(KNOWN).filter(
    ([name]) => declared[name] === undefined && isInstalled(name),
  );
  return Object.fromEntries(present);
}

function isInstalled(name: string): boolean {
  try {
    findProgram(name, '/');
    return true;
  } catch {
    return false;
  }
}

/** Such as `3.4.1` of `Blender 3.4.1`; undefined where its first line has none. */
export function versionIn(firstLine: string): string | undefined {
  return /\b\d+(\.\d+)+\b/.exec(firstLine)?.[0];
}
