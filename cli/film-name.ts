/** What a film is to be called: the name asked for, else that of -o, so that its extension chooses the form. */
import { basename, extname } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { isFolder } from './local-files.ts';

interface NamedOutput {
  /** As asked for by an option of its own. */
  readonly name?: string | undefined;
  /** Of `-o`. */
  readonly output?: string | undefined;
}

/** Empty where neither says one. FurrowError: invalid CONTAINER_UNKNOWN unless it ends in one of `endings`. */
export async function outputName(
  { name, output }: NamedOutput,
  endings: readonly string[],
): Promise<string> {
  const isFile = output !== undefined && !output.endsWith('/') && !(await isFolder(output));
  const chosen = name ?? (isFile ? basename(output) : '');
  if (chosen === '' || endings.includes(extname(chosen).toLowerCase())) return chosen;
  const message = `'${chosen}' does not say which container: end it in ${endings.join(', ')}`;
  throw new FurrowError('invalid', 'CONTAINER_UNKNOWN', message);
}

/** Containers of films. */
export const FILM_ENDINGS = ['.mp4', '.mkv', '.webm', '.mov'];
