/** Names in requests: the file that a recipe is given, and what comes out is called. */
import { faultOfName } from '../domain/names.ts';
import type { File } from '../domain/task.ts';
import { TAKEN } from './film-chain.ts';
import { baseName, invalid, type RecipePlan } from './recipe.ts';

/** The one file that is worked on, or why it is none. */
export function givenSource(
  source: File | undefined,
): { readonly state: 'ok'; readonly source: File } | (RecipePlan & { readonly state: 'invalid' }) {
  if (source === undefined) return invalid('source is missing: name an uploaded file');
  const fault = faultOfName(source.name);
  if (fault !== undefined) return invalid(`the source's name ${fault}`);
  if (source.sizeBytes === 0) return invalid(`${source.name} is empty`);
  return { state: 'ok', source };
}

/** Why an output cannot be called so: to be said behind the name. */
export function faultOfOutputName(name: string): string | undefined {
  const fault = faultOfName(name);
  if (fault !== undefined) return fault;
  if (name.includes('/')) return 'has a slash: give a name, not a path';
  if (name.includes('*')) return 'has a *';
  return TAKEN.test(name) ? 'is one that the farm itself uses: choose another' : undefined;
}

/** `clips/holiday.mov` → `holiday`, fit for an output's name. */
export function stemOf(path: string): string {
  return baseName(path)
    .replaceAll('*', '_')
    .replace(/(.)\.[^.]*$/, '$1');
}
