/** Which files of an attempt's directory its output patterns mean. */
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { OutputPattern } from '../proto/gen/furrow/v1/step.ts';
import { unsafeName } from '../kit/safe-name.ts';

/** More would not fit one message with the coordinator. */
const OUTPUT_LIMIT = 4_000;

export type CollectedOutputs =
  | { readonly state: 'found'; readonly names: readonly string[] }
  /** One line that names the pattern or the file. */
  | { readonly state: 'bad'; readonly message: string };

/**
 * Names of the files to store, sorted. Inputs are not outputs, whatever a pattern says, nor is what lies in
 * the folder `except`; links are not files.
 */
export async function collectOutputs(
  directory: string,
  patterns: readonly OutputPattern[],
  inputs: ReadonlySet<string>,
  except = '',
): Promise<CollectedOutputs> {
  if (patterns.length === 0) return { state: 'found', names: [] };
  const isOther = (name: string): boolean =>
    inputs.has(name) || (except !== '' && name.startsWith(`${except}/`));
  const present = (await fileNames(directory)).filter((name) => !isOther(name));
  const names = new Set<string>();
  for (const { pattern, optional } of patterns) {
    const matching = present.filter((name) => matchesPattern(name, pattern));
    if (matching.length === 0 && !optional) {
      return { state: 'bad', message: `no output matches ${pattern}` };
    }
    for (const name of matching) names.add(name);
  }
  for (const name of names) {
    const why = unsafeName(name);
    if (why !== undefined) {
      return { state: 'bad', message: `the output ${JSON.stringify(name)} has a bad name: ${why}` };
    }
  }
  if (names.size > OUTPUT_LIMIT) {
    const message = `${names.size} outputs are more than ${OUTPUT_LIMIT}: pack them into an archive`;
    return { state: 'bad', message };
  }
  return { state: 'found', names: [...names].toSorted() };
}

/** `*` stands for anything but a slash, nothing included. */
export function matchesPattern(name: string, pattern: string): boolean {
  const source = pattern
    .split('*')
    .map((piece) => piece.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('[^/]*');
  return new RegExp(`^${source}$`, 'u').test(name);
}

async function fileNames(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/'));
}
