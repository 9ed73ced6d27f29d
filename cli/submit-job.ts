/** What all kinds of `furrow submit` share: their common options, and what follows on a submit. */
import { randomUUID } from 'node:crypto';
import { FurrowError } from '../kit/furrow-error.ts';
import { retrying } from '../kit/retry.ts';
import { JobState, type SubmitJobRequest } from '../proto/gen/furrow/v1/job_service.ts';
import type { CommandContext, CommandResult, OptionSpec } from './command.ts';
import { fetchOutputs, placeOutputs } from './fetch-outputs.ts';
import { exitCodeOf, followJob, tellEnd } from './follow-job.ts';
import { checkTarget, isFolder } from './local-files.ts';
import { integerIn } from './options.ts';
import { jsonOf } from './output/json.ts';
import type { Report } from './report.ts';

export interface SubmitOptions {
  readonly name?: string;
  readonly priority?: number;
  readonly clientId?: string;
  readonly watch?: boolean;
  readonly output?: string;
  readonly force?: boolean;
}

export const SUBMIT_OPTIONS: readonly OptionSpec[] = [
  { flags: '-o, --output <path>', help: 'wait for the end and download to this file or folder' },
  { flags: '--force', help: 'let -o replace a file that is there' },
  { flags: '-w, --watch', help: 'follow the job until it ends' },
  { flags: '--name <name>', help: 'name of the job, for people' },
  {
    flags: '--priority <n>',
    help: 'larger first, from -1000 to 1000 (default: 0)',
    parse: integerIn(-1000, 1000),
  },
  {
    flags: '--client-id <id>',
    help: 'submitting again with the same id is harmless (default: a new one)',
  },
];

/** Submits in a row without an answer, about half a minute. The client id makes a repeat harmless. */
const SUBMIT_ATTEMPTS = 8;
const SUBMIT_DEADLINE_MS = 30_000;

/** Refuses what can be known to fail before anything is sent: see checkTarget. */
export async function checkOutputOption({ output, force }: SubmitOptions): Promise<void> {
  if (output === undefined || (await isFolder(output))) return;
  if (output.endsWith('/')) {
    const message = `there is no folder '${output}' for -o: make it first`;
    throw new FurrowError('invalid', 'FOLDER_MISSING', message);
  }
  await checkTarget(output, force === true);
}

/** Submits, and with --watch or -o follows the job, and with -o downloads what it made. */
export async function submitJob(
  work: SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const report = await submit(work, defaultName, options, context);
  const { out } = context;
  const jobId = report.job.id;
  if (!options.watch && options.output === undefined) {
    if (out.noteTerminal) out.note(`watch it with: furrow watch ${jobId}`);
    return { report };
  }
  if (out.json) out.jsonLine({ event: 'submitted', ...(jsonOf(report) as object) });
  const job = await followJob(jobId, context);
  tellEnd(job, context);
  const exitCode = exitCodeOf(job, context);
  if (job.state !== JobState.JOB_STATE_SUCCEEDED || options.output === undefined) {
    return { exitCode };
  }
  const force = options.force === true;
  const placements = await placeOutputs(job, options.output, force);
  const files = await fetchOutputs(jobId, placements, force, context);
  if (!out.json) return { report: { kind: 'fetched', jobId, files } };
  out.jsonLine({ event: 'fetched', jobId, files });
  return {};
}

/** The job, accepted and durable. Tried again until the farm answers. */
export async function submit(
  work: SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<Report & { kind: 'submitted' }> {
  const client = await context.farm();
  const clientId = options.clientId ?? randomUUID();
  const request = {
    clientId,
    name: options.name ?? defaultName,
    priority: options.priority ?? 0,
    work,
  };
  const { job, alreadySubmitted } = await retrying(
    { attempts: SUBMIT_ATTEMPTS, signal: context.signal },
    () => client.call(client.jobs.submitJob.bind(client.jobs), request, SUBMIT_DEADLINE_MS),
  ).catch((error: unknown) => {
    throw context.signal.aborted ? maybeSubmitted(clientId, error) : error;
  });
  if (job === undefined) throw new TypeError('the farm answered without the job');
  if (alreadySubmitted) context.out.note(`${job.id} had been submitted with this client id before`);
  return { kind: 'submitted', job, clientId, alreadySubmitted };
}

/** Cut between question and answer: nobody here knows, but the same client id will tell. */
function maybeSubmitted(clientId: string, cause: unknown): FurrowError {
  const message = `interrupted while submitting: look with furrow jobs, or submit again with --client-id ${clientId}`;
  return new FurrowError('aborted', 'SUBMIT_INTERRUPTED', message, { cause });
}
