/** Whether files can lie in one directory together, as an attempt's inputs must. Pure. */
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { nameKey } from '../kit/safe-name.ts';

/**
 * Outputs of several units or steps meet in one directory: which names only show here. Names that some disk
 * takes for one count as one. Answers one line, or undefined when all is well.
 */
export function clashOf(inputs: readonly File[]): string | undefined {
  const names = new Map<string, string>();
  const folders = new Set<string>();
  for (const { name } of inputs) {
    const other = names.get(nameKey(name));
    if (other === name) {
      return `two of its inputs are named ${JSON.stringify(name)}: give the outputs that it takes names of their own, such as with {index}`;
    }
    if (other !== undefined) {
      return `some disks take its inputs ${JSON.stringify(other)} and ${JSON.stringify(name)} for one: rename one`;
    }
    names.set(nameKey(name), name);
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
      folders.add(nameKey(name.slice(0, at)));
    }
  }
  const shadowed = [...names].find(([key]) => folders.has(key))?.[1];
  return shadowed === undefined
    ? undefined
    : `one of its inputs is named ${JSON.stringify(shadowed)}, and others need a directory of that name: rename one`;
}
