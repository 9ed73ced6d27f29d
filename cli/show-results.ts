/** The table of a job that encodes many films, read from among its kept outputs. */
import { FurrowError } from '../kit/furrow-error.ts';
import { parseResults, RESULTS_JSON } from '../kit/film-results.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { jobWithFiles } from './fetch-outputs.ts';
import { readOutput } from './small-output.ts';

/**
 * FurrowError: failed-precondition NO_RESULTS; data-loss RESULTS_UNREADABLE; those of jobWithFiles and of
 * readOutput.
 */
export async function showResults(jobId: string, context: CommandContext): Promise<CommandResult> {
  const job = await jobWithFiles(jobId, context);
  const file = job.outputs.find(({ name }) => name === RESULTS_JSON);
  if (file === undefined) {
    const message = `${job.id} has no table of results: only jobs of furrow submit folder have one`;
    throw new FurrowError('failed-precondition', 'NO_RESULTS', message);
  }
  const films = parseResults(await readOutput(job.id, file, context));
  if (films === undefined) {
    const message = `${file.name} of ${job.id} is none that this version reads: update furrow, or fetch it`;
    throw new FurrowError('data-loss', 'RESULTS_UNREADABLE', message);
  }
  const exitCode = films.every(({ state }) => state === 'proven') ? EXIT.ok : EXIT.jobFailed;
  return { report: { kind: 'results', jobId: job.id, films }, exitCode };
}
