import { FurrowError } from '../../kit/furrow-error.ts';
import { JobState, type Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { defineCommand } from '../command.ts';
import { fetchOutputs, placeOutputs } from '../fetch-outputs.ts';
import { hasEnded, jobStateName } from '../output/names.ts';

export const fetch = defineCommand<{ output?: string; force?: boolean }>({
  name: 'fetch',
  summary: "download a job's files",
  description:
    "Downloads a job's files and proves them whole. A download that was cut goes on where it stopped.",
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  options: [
    { flags: '-o, --output <path>', help: 'a new file, or a folder (default: this folder)' },
    { flags: '--force', help: 'replace files that are there' },
  ],
  examples: [
    ['furrow fetch j12 -o film.mp4', 'its one file, under a name of your own'],
    ['furrow fetch j12 -o out/', 'all its files, into a folder'],
  ],
  async run([jobId = ''], { output, force = false }, context) {
    const client = await context.farm();
    const { job } = await client.call(client.jobs.getJob.bind(client.jobs), { jobId });
    if (job === undefined) throw new TypeError(`the farm answered without the job ${jobId}`);
    if (job.state !== JobState.JOB_STATE_SUCCEEDED) throw notDone(job);
    const placements = await placeOutputs(job, output, force);
    const files = await fetchOutputs(job.id, placements, force, context);
    return { report: { kind: 'fetched', jobId: job.id, files } };
  },
});

function notDone({ id, state, reason }: Job): FurrowError {
  const because = reason === '' ? '' : ` (${reason})`;
  const remedy = hasEnded(state)
    ? `furrow retry ${id} tries again`
    : `furrow watch ${id} waits for it`;
  const message = `${id} has no files: it is ${jobStateName(state)}${because}; ${remedy}`;
  return new FurrowError('failed-precondition', 'JOB_NOT_SUCCEEDED', message);
}
