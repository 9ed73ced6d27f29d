/** Commands that change a job, and most answer with the job as it is then. */
import type { Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { defineCommand, type CommandResult } from '../command.ts';
import { formatCount } from '../output/format.ts';

const JOB = [{ syntax: '<job>', help: 'such as j12' }];

export const cancel = defineCommand<{ reason?: string }>({
  name: 'cancel',
  summary: 'end a job for good',
  description: 'Ends a job for good; its running units are stopped.',
  arguments: JOB,
  options: [{ flags: '--reason <text>', help: 'shown with the job' }],
  async run([jobId = ''], { reason = '' }, context) {
    const client = await context.farm();
    const answer = await client.call(client.jobs.cancelJob.bind(client.jobs), { jobId, reason });
    return changed(answer.job, jobId, 'is cancelled');
  },
});

export const retry = defineCommand({
  name: 'retry',
  summary: "queue a job's failed units again",
  description: "Queues a job's failed and cancelled units again. Accepted units never run again.",
  arguments: JOB,
  async run([jobId = ''], _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.jobs.retryJob.bind(client.jobs), { jobId });
    return changed(answer.job, jobId, `has ${formatCount(answer.units, 'unit')} queued again`);
  },
});

export const pause = defineCommand({
  name: 'pause',
  summary: 'start no further units of a job',
  description: 'Starts no further units of a job; running ones finish and count.',
  arguments: JOB,
  async run([jobId = ''], _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.jobs.pauseJob.bind(client.jobs), { jobId });
    return changed(answer.job, jobId, 'is paused: running units finish, no others start');
  },
});

export const resume = defineCommand({
  name: 'resume',
  summary: 'end a pause',
  arguments: JOB,
  async run([jobId = ''], _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.jobs.resumeJob.bind(client.jobs), { jobId });
    return changed(answer.job, jobId, 'goes on');
  },
});

export const remove = defineCommand({
  name: 'remove',
  summary: 'forget a job that has ended, and delete its files',
  description:
    'Forgets a job that has ended, archived or not, and deletes the files that no other job needs. There is no way back.',
  arguments: JOB,
  async run([jobId = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.jobs.removeJob.bind(client.jobs), { jobId });
    return { report: { kind: 'removed', jobId } };
  },
});

function changed(job: Job | undefined, jobId: string, words: string): CommandResult {
  if (job === undefined) throw new TypeError(`the farm answered without the job ${jobId}`);
  return { report: { kind: 'changed', job, words } };
}
