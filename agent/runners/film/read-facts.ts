/**
 * Reads what another unit wrote of its work: JSON in the unit's directory. Whoever submits may hand in a file of his
 * own under such a name, and it is read into the agent itself: so no more is read than a plan of the longest film has.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { FilmFault } from './film-fault.ts';

/** MAX_FRAMES times that all differ, and as many pieces as there can be, take some 30 MB. */
const MAX_FACTS_BYTES = 48 * 1024 * 1024;

/** Undefined when there is no such file. Throws FilmFault `invalid-input` when it is too large, or no JSON. */
export async function readFacts(directory: string, name: string): Promise<unknown> {
  const text = await readText(directory, name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new FilmFault('invalid-input', `${name} is not JSON`);
  }
}

async function readText(directory: string, name: string): Promise<string | undefined> {
  const file = await open(join(directory, name), 'r').catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size <= MAX_FACTS_BYTES) return await file.readFile('utf8');
    const message = `${name} has ${size} bytes, more than any film needs`;
    throw new FilmFault('invalid-input', message);
  } finally {
    await file.close();
  }
}
