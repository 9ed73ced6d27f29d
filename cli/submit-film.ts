/** Submits one film of this machine. */
import type { SubmitJobRequest } from '../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext, CommandResult } from './command.ts';
import type { LocalFile } from './local-files.ts';
import type { SubmitOptions } from './submit-options.ts';

/** `workOf`: what is to be done with the film as the farm has it. The job is named after it. */
export async function submitFilm(
  film: LocalFile,
  workOf: (source: File) => SubmitJobRequest['work'],
  options: SubmitOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const { submitWithFiles } = await import('./submit-job.ts');
  return submitWithFiles([film], ([source]) => workOf(source!), film.name, options, context);
}
