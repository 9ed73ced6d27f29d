/** Which files of an attempt's directory its output patterns mean. */
import { constants } from 'node:fs';
import { copyFile, lstat, mkdtemp, readdir, realpath, rename, rmdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { OutputPattern } from '../proto/gen/furrow/v1/step.ts';
import { nameKey, unsafeName } from '../kit/safe-name.ts';
import { readInside } from './open-inside.ts';

/** More would not fit one message with the coordinator. */
const OUTPUT_LIMIT = 4_000;

export type CollectedOutputs =
  | { readonly state: 'found'; readonly names: readonly string[] }
  /** One line that names the pattern or the file. */
  | { readonly state: 'bad'; readonly message: string };

/**
 * Names of the files to store, sorted. Inputs are not outputs, whatever a pattern says, nor is what lies in
 * the folders `except`; nor are links, pipes, sockets and devices. Nobody may write there any more.
 */
export async function collectOutputs(
  directory: string,
  patterns: readonly OutputPattern[],
  inputs: ReadonlySet<string>,
  except: readonly string[] = [],
): Promise<CollectedOutputs> {
  if (patterns.length === 0) return { state: 'found', names: [] };
  // A program may have put something else in its folder's place.
  if (!(await lstat(directory)).isDirectory()) return bad('its folder is none any more');
  const isOther = (name: string): boolean =>
    inputs.has(name) || except.some((folder) => name.startsWith(`${folder}/`));
  const entries = (await entriesIn(directory)).filter(({ name }) => !isOther(name));
  const names = new Set<string>();
  for (const { pattern, optional } of patterns) {
    const matching = entries.filter(({ name }) => matchesPattern(name, pattern));
    const files = matching.filter(({ isFile }) => isFile);
    const [other] = matching;
    if (files.length === 0 && !optional) {
      return other === undefined
        ? bad(`no output matches ${pattern}`)
        : bad(`${JSON.stringify(other.name)} is a link, a pipe or a device: outputs are files`);
    }
    for (const { name } of files) names.add(name);
  }
  return faultOf(names) ?? { state: 'found', names: [...names].toSorted() };
}

function faultOf(names: ReadonlySet<string>): CollectedOutputs | undefined {
  const byKey = new Map<string, string>();
  for (const name of names) {
    const why = unsafeName(name);
    if (why !== undefined) return bad(`the output ${JSON.stringify(name)} has a bad name: ${why}`);
    const other = byKey.get(nameKey(name));
    if (other !== undefined) {
      const both = `${JSON.stringify(other)} and ${JSON.stringify(name)}`;
      return bad(`some disks take the outputs ${both} for one: rename one`);
    }
    byKey.set(nameKey(name), name);
  }
  if (names.size <= OUTPUT_LIMIT) return undefined;
  return bad(`${names.size} outputs are more than ${OUTPUT_LIMIT}: pack them into an archive`);
}

function bad(message: string): CollectedOutputs {
  return { state: 'bad', message };
}

/** `*` stands for anything but a slash, nothing included. */
export function matchesPattern(name: string, pattern: string): boolean {
  // No regular expression: with many stars it would look for longer than anybody waits.
  const pieces = pattern.split('*');
  const head = pieces.shift() ?? '';
  const tail = pieces.pop();
  if (tail === undefined) return name === pattern;
  const end = name.length - tail.length;
  if (end < head.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
  let at = head.length;
  for (const piece of pieces) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end || name.slice(at, found).includes('/'))
      return false;
    at = found + piece.length;
  }
  return !name.slice(at, end).includes('/');
}

/** All but folders. Links are not followed. */
async function entriesIn(
  directory: string,
): Promise<readonly { readonly name: string; readonly isFile: boolean }[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({
      name: relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/'),
      isFile: entry.isFile(),
    }));
}

/**
 * Makes an output a file that nobody else has: one that its program linked to a file elsewhere would stay open to
 * that one's owner after it was stored. FurrowError: invalid NOT_A_FILE.
 */
export async function ownOutput(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  if ((await lstat(path)).nlink === 1) return;
  const root = await realpath(directory);
  // A folder that is new: nothing that the program made can stand in the way.
  const folder = await mkdtemp(join(root, 'furrow-copy-'));
  const copy = join(folder, 'output');
  await readInside(root, name, (file) => copyFile(file, copy, constants.COPYFILE_FICLONE));
  await rename(copy, path);
  await rmdir(folder);
}
