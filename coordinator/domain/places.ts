/** All inputs of a unit lie in one directory, on whatever disk an agent has: which names go together. */
import { nameKey } from './names.ts';
import { quote } from './quote.ts';

/** By what some disk takes for the same name. */
export type Places = Map<string, { readonly kind: 'file' | 'directory'; readonly name: string }>;

/**
 * Takes the place for a file; answers what is in its way, for a sentence that begins with who wants it there.
 */
export function faultOfPlace(name: string, places: Places): string | undefined {
  const key = nameKey(name);
  const there = places.get(key);
  if (there?.kind === 'file') {
    return there.name === name
      ? `has two inputs named ${quote(name)}: rename one`
      : `has inputs ${quote(there.name)} and ${quote(name)}, which some disks take for one: rename one`;
  }
  if (there?.kind === 'directory') return shadows(name);
  for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
    const directory = name.slice(0, slash);
    const directoryKey = nameKey(directory);
    if (places.get(directoryKey)?.kind === 'file') return shadows(directory);
    places.set(directoryKey, { kind: 'directory', name: directory });
  }
  places.set(key, { kind: 'file', name });
  return undefined;
}

function shadows(name: string): string {
  return `has an input ${quote(name)} where another needs a directory of that name: rename one`;
}
