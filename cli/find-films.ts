/** The films of a folder of this machine, and what they shall be called when they are encoded. */
import { readdir } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { nameKey } from '../kit/safe-name.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { isFolder } from './local-files.ts';

/** Endings under which films are found; what lies behind them is for the farm to see. */
const ENDINGS: ReadonlySet<string> = new Set(
  '3g2 3gp asf avi divx dv f4v flv h264 hevc ivf m2t m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut obu ogm ogv qt rm rmvb ts vob webm wmv y4m'
    .split(' ')
    .map((ending) => `.${ending}`),
);

/**
 * Paths relative to the folder, sorted, with `/` between their parts. Hidden ones and links are passed
 * over. FurrowError: invalid FOLDER_MISSING, FOLDER_EMPTY.
 */
export async function findFilms(folder: string): Promise<readonly string[]> {
  if (!(await isFolder(folder))) {
    throw new FurrowError('invalid', 'FOLDER_MISSING', `there is no folder '${folder}'`);
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const films = entries
    .filter((entry) => entry.isFile() && ENDINGS.has(extname(entry.name).toLowerCase()))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep))
    .filter((parts) => !parts.some((part) => part.startsWith('.')))
    .map((parts) => parts.join('/'))
    .toSorted();
  if (films.length > 0) return films;
  const message = `'${folder}' has no films: none of its files ends as films do (.mp4, .mov, .mkv …)`;
  throw new FurrowError('invalid', 'FOLDER_EMPTY', message);
}

/**
 * `trip/a.mov` → `trip/a.mp4`. Where several sources would become one film, all of them keep their ending:
 * `trip/a.mov.mp4` and `trip/a.avi.mp4`.
 */
export function filmNames(sources: readonly string[], container: string): readonly string[] {
  const plain = sources.map((source) => `${withoutEnding(source)}.${container}`);
  const counts = new Map<string, number>();
  for (const name of plain) counts.set(nameKey(name), (counts.get(nameKey(name)) ?? 0) + 1);
  return plain.map((name, i) =>
    (counts.get(nameKey(name)) ?? 0) > 1 ? `${sources[i]}.${container}` : name,
  );
}

const withoutEnding = (path: string): string => path.slice(0, path.length - extname(path).length);
