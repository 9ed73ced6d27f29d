/**
 * Writes what became of each film of a job that encodes many: a proof where it was made, a noted fault
 * where its source is to blame, neither where it was given up.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  RESULTS_CSV,
  RESULTS_JSON,
  resultsCsv,
  resultsText,
  type FilmResult,
} from '../../../kit/film-results.ts';
import { parseProof } from '../../../kit/proof-report.ts';
import type { TabulateTask, TabulatedFilm } from '../../../proto/gen/furrow/v1/task.ts';
import { faultOfSuffix, reasonOf } from './film-branch.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';

export const tabulateRunner = filmRunner('tabulate', tabulate);

async function tabulate({ work, task, context }: FilmAttempt<TabulateTask>): Promise<void> {
  const names = await readdir(work.directory);
  const films: FilmResult[] = [];
  for (const film of task.films) films.push(await resultOf(work.directory, task, film, names));
  await writeFile(join(work.directory, RESULTS_JSON), resultsText(films));
  await writeFile(join(work.directory, RESULTS_CSV), resultsCsv(films));
  context.progress(1, films.length, `${films.length} films`);
}

async function resultOf(
  directory: string,
  { proofs }: TabulateTask,
  { source, sourceBytes, film, suffix, refused }: TabulatedFilm,
  names: readonly string[],
): Promise<FilmResult> {
  const none = { source, film, sourceBytes, frames: 0, filmBytes: 0 };
  if (refused !== '') return { ...none, state: 'refused', reason: refused };
  const fault = faultOfSuffix(names, suffix);
  if (fault !== undefined) {
    const reason = reasonOf(await readFile(join(directory, fault), 'utf8'));
    return { ...none, state: 'refused', reason };
  }
  const text = await readFile(join(directory, proofs, `${film}.proof.json`), 'utf8').catch(
    () => undefined,
  );
  const report = text === undefined ? undefined : parseProof(text);
  const [proven] = report?.files ?? [];
  if (report?.ok !== true || proven === undefined) {
    const reason = `given up: see the failed units of the steps that end in ${suffix}`;
    return { ...none, state: 'failed', reason };
  }
  const { frames } = report.facts;
  return {
    ...none,
    state: 'proven',
    frames: typeof frames === 'number' ? frames : 0,
    filmBytes: proven.sizeBytes,
    reason: '',
  };
}
