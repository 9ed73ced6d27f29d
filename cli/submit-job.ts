/** What all kinds of `furrow submit` share: a submit, and what follows on it. */
import { randomUUID } from 'node:crypto';
import { FurrowError } from '../kit/furrow-error.ts';
import { retrying } from '../kit/retry.ts';
import {
  type JobPlan,
  JobState,
  type SubmitJobRequest,
} from '../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { fetchOutputs, placeOutputs } from './fetch-outputs.ts';
import { exitCodeOf, followJob, tellEnd } from './follow-job.ts';
import type { LocalFile } from './local-files.ts';
import { jsonOf } from './output/json.ts';
import { printable } from './output/text-width.ts';
import { usualOwner } from './owner.ts';
import { tellRemarks } from './proof-remarks.ts';
import type { Report } from './report.ts';
import type { SubmitOptions } from './submit-options.ts';
import { uploadFiles } from './upload-files.ts';

/** Submits in a row without an answer, about half a minute. The client id makes a repeat harmless. */
const SUBMIT_ATTEMPTS = 8;
const SUBMIT_DEADLINE_MS = 30_000;

/**
 * As `submitJob`, for work that names files of this machine: they are uploaded, but not before the farm
 * has said that it would take the job. A dry run ends there.
 */
export async function submitWithFiles(
  locals: readonly LocalFile[],
  workOf: (files: readonly File[]) => SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const isDryRun = options.dryRun === true;
  if (isDryRun || locals.length > 0) {
    const unsent = locals.map(({ name, sizeBytes }) => ({ name, sizeBytes, sha256: '' }));
    const plan = await validated(workOf(unsent), defaultName, options, context);
    if (isDryRun) return { report: plan() };
  }
  const files = await uploadFiles(locals, context);
  return submitJob(workOf(files), defaultName, options, context);
}

/** Asks the farm whether it would take the job. Answers what tells what the job would be. */
export async function validated(
  work: SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<() => Report> {
  const client = await context.farm();
  const request = {
    ...requestFor(work, defaultName, options, context.environment),
    validateOnly: true,
  };
  const { plan, notes } = await retrying(
    { attempts: SUBMIT_ATTEMPTS, signal: context.signal },
    () => client.call(client.jobs.submitJob.bind(client.jobs), request, SUBMIT_DEADLINE_MS),
  );
  return () => planned(request.name, plan, notes, client.address);
}

function planned(
  name: string,
  plan: JobPlan | undefined,
  notes: readonly string[],
  address: string,
): Report {
  if (plan !== undefined) return { kind: 'plan', name, plan, notes };
  const message = `the farm at ${address} would take it, and is too old to say more`;
  throw new FurrowError('failed-precondition', 'NOT_SUPPORTED', message);
}

function requestFor(
  work: SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  environment: NodeJS.ProcessEnv,
): SubmitJobRequest {
  const { tag = [], pool, ticket = {} } = options;
  const labels = [...tag.map((name) => `tag:${name}`), ...(pool ? [`pool:${pool}`] : [])];
  const isPlain = labels.length === 0 && Object.keys(ticket).length === 0;
  return {
    clientId: options.clientId ?? randomUUID(),
    name: options.name ?? defaultName,
    priority: options.priority ?? 0,
    failures: failuresOf(options),
    work,
    owner: options.owner ?? usualOwner(environment).name,
    maxUnits: options.maxUnits,
    everyUnit: isPlain ? undefined : { attributes: labels, tickets: ticket },
  };
}

function failuresOf({
  maxFailed = 0,
  keepGoing = false,
}: SubmitOptions): SubmitJobRequest['failures'] {
  return maxFailed > 0 || keepGoing ? { maxFailedUnits: maxFailed, keepGoing } : undefined;
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
  if (job.state === JobState.JOB_STATE_SUCCEEDED) await tellRemarks(job, context);
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
  const request = requestFor(work, defaultName, options, context.environment);
  const { clientId } = request;
  const { job, alreadySubmitted, notes } = await retrying(
    { attempts: SUBMIT_ATTEMPTS, signal: context.signal },
    () => client.call(client.jobs.submitJob.bind(client.jobs), request, SUBMIT_DEADLINE_MS),
  ).catch((error: unknown) => {
    throw context.signal.aborted ? maybeSubmitted(clientId, error) : error;
  });
  if (job === undefined) throw new TypeError('the farm answered without the job');
  if (alreadySubmitted) context.out.note(`${job.id} had been submitted with this client id before`);
  for (const note of notes) context.out.note(printable(note));
  return { kind: 'submitted', job, clientId, alreadySubmitted, notes };
}

/** Cut between question and answer: nobody here knows, but the same client id will tell. */
function maybeSubmitted(clientId: string, cause: unknown): FurrowError {
  const message = `interrupted while submitting: look with furrow jobs, or submit again with --client-id ${clientId}`;
  return new FurrowError('aborted', 'SUBMIT_INTERRUPTED', message, { cause });
}
