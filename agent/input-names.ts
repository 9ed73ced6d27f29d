/** Whether files can lie in one directory together, as an attempt's inputs must. Pure. */
import type { File } from '../proto/gen/furrow/v1/step.ts';

/**
 * Outputs of several units or steps meet in one directory: which names only show here. Answers one line, or
 * undefined when all is well.
 */
export function clashOf(inputs: readonly File[]): string | undefined {
  const names = new Set<string>();
  const folders = new Set<string>();
  for (const { name } of inputs) {
    if (names.has(name)) {
      return `two of its inputs are named ${JSON.stringify(name)}: give the outputs that it takes names of their own, such as with {index}`;
    }
    names.add(name);
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
      folders.add(name.slice(0, at));
    }
  }
  const shadowed = [...names].find((name) => folders.has(name));
  return shadowed === undefined
    ? undefined
    : `one of its inputs is named ${JSON.stringify(shadowed)}, and others need a directory of that name: rename one`;
}
