/** A job's outputs, brought to this machine: whole, verified and under their final name, or not at all. */
import { JOB_HEADER } from '../kit/blob-protocol.ts';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { unsafeName } from '../kit/safe-name.ts';
import { type Job, JobState } from '../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { downloadFile, syncFolder } from './blobs.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { checkRoom, diskFault } from './disk-room.ts';
import { checkTarget, isFolder } from './local-files.ts';
import { formatCount } from './output/format.ts';
import { hasEnded, jobStateName } from './output/names.ts';
import { openTransferView } from './output/transfer-view.ts';
import type { FetchedFile } from './report.ts';

/** Where one output goes. */
export interface Placement {
  readonly file: File;
  readonly path: string;
}

/**
 * Which outputs go where. A `target` that is a folder (or ends in a slash) takes all of them under
 * their own names; any other is the one output's new name. FurrowError: failed-precondition
 * NO_OUTPUTS; invalid SEVERAL_OUTPUTS, OUTPUT_NAME_UNSAFE; and those of checkTarget.
 */
export async function placeOutputs(
  job: Job,
  target: string | undefined,
  force: boolean,
): Promise<Placement[]> {
  if (job.outputs.length === 0) {
    throw new FurrowError('failed-precondition', 'NO_OUTPUTS', `${job.id} keeps no files`);
  }
  const intoFolder =
    target === undefined ||
    target.endsWith('/') ||
    target.endsWith(sep) ||
    (await isFolder(target));
  const placements = intoFolder
    ? job.outputs.map((file) => ({ file, path: pathInFolder(target ?? '.', file) }))
    : [{ file: outputNamed(job, target), path: target }];
  for (const { path } of placements) {
    // Outputs may lie in folders of their own; those are ours to make.
    if (intoFolder && !(await isFolder(dirname(path)))) {
      const made = await mkdir(dirname(path), { recursive: true });
      if (made !== undefined) await syncFolder(dirname(made));
    }
    await checkTarget(path, force);
  }
  return placements;
}

function pathInFolder(folder: string, file: File): string {
  const fault = unsafeName(file.name);
  if (fault) {
    const message = `the farm names an output ${JSON.stringify(file.name)}, which cannot be used: ${fault}`;
    throw new FurrowError('data-loss', 'OUTPUT_NAME_UNSAFE', message);
  }
  return join(folder, file.name);
}

/** The only output, or the one of several that has the wanted name. */
function outputNamed({ id, outputs }: Job, target: string): File {
  const file =
    outputs.length === 1 ? outputs[0] : outputs.find((output) => output.name === basename(target));
  if (file) return file;
  const names = outputs
    .slice(0, 5)
    .map((output) => output.name)
    .join(', ');
  const message = `${id} has ${formatCount(outputs.length, 'output')} (${names}${outputs.length > 5 ? ', …' : ''}): give a folder with -o, or the name of one`;
  throw new FurrowError('invalid', 'SEVERAL_OUTPUTS', message);
}

/** FurrowError: those of the blob transfer; conflict TARGET_EXISTS; aborted FETCH_INTERRUPTED. */
export async function fetchOutputs(
  jobId: string,
  placements: readonly Placement[],
  force: boolean,
  context: CommandContext,
): Promise<FetchedFile[]> {
  const { signal, out } = context;
  // A token of one owner opens blobs of that owner's jobs.
  const headers = { [JOB_HEADER]: jobId };
  const target = Object.assign(await context.blobs(), { headers });
  await checkRoom(placements);
  const view = openTransferView(out);
  try {
    const fetched: FetchedFile[] = [];
    for (const { file, path } of placements) {
      await downloadFile(target, file, path, {
        signal,
        replace: force,
        onProgress: ({ doneBytes, totalBytes }) =>
          view.show('fetching', file.name, doneBytes, totalBytes),
      }).catch((error: unknown) => {
        throw diskFault(error, path, jobId);
      });
      fetched.push({ ...file, path: resolve(path) });
    }
    return fetched;
  } catch (error) {
    if (!signal.aborted) throw error;
    const message = `interrupted; the job is done: go on with furrow fetch ${jobId}`;
    throw new FurrowError('aborted', 'FETCH_INTERRUPTED', message, { cause: error });
  } finally {
    view.close();
  }
}

/** Downloads what a job left. FurrowError: those of `jobWithFiles` and of `fetchOutputs`. */
export async function fetchJob(
  jobId: string,
  output: string | undefined,
  force: boolean,
  context: CommandContext,
): Promise<CommandResult> {
  const job = await jobWithFiles(jobId, context);
  const placements = await placeOutputs(job, output, force);
  const files = await fetchOutputs(job.id, placements, force, context);
  return { report: { kind: 'fetched', jobId: job.id, files } };
}

/** A job whose outputs can be had. FurrowError: failed-precondition JOB_NOT_SUCCEEDED, OUTPUTS_EXPIRED. */
export async function jobWithFiles(jobId: string, context: CommandContext): Promise<Job> {
  const client = await context.farm();
  const { job } = await client.call(client.jobs.getJob.bind(client.jobs), { jobId });
  if (job === undefined) throw new TypeError(`the farm answered without the job ${jobId}`);
  if (job.state !== JobState.JOB_STATE_SUCCEEDED) throw notDone(job);
  if (job.outputs.length > 0 && hasExpired(job)) throw expired(job);
  return job;
}

const hasExpired = ({ outputsExpireAtMs }: Job): boolean =>
  outputsExpireAtMs > 0 && outputsExpireAtMs <= Date.now();

function expired({ id, outputsExpireAtMs }: Job): FurrowError {
  const until = new Date(outputsExpireAtMs).toISOString();
  const message = `${id} has no files any more: this farm kept them until ${until}; submit it again`;
  return new FurrowError('failed-precondition', 'OUTPUTS_EXPIRED', message);
}

function notDone({ id, state, reason, archived }: Job): FurrowError {
  const because = reason === '' ? '' : ` (${reason})`;
  const again = archived ? 'submit it again' : `furrow retry ${id} tries again`;
  const remedy = hasEnded(state) ? again : `furrow watch ${id} waits for it`;
  const message = `${id} has no files: it is ${jobStateName(state)}${because}; ${remedy}`;
  return new FurrowError('failed-precondition', 'JOB_NOT_SUCCEEDED', message);
}
