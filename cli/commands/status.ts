import { defineCommand } from '../command.ts';

export const status = defineCommand({
  name: 'status',
  summary: 'how the farm is, or a job',
  arguments: [{ syntax: '[job]', help: 'such as j12' }],
  async run([jobId], _options, context) {
    const client = await context.farm();
    if (jobId !== undefined) {
      const { job } = await client.call(client.jobs.getJob.bind(client.jobs), { jobId });
      if (job === undefined) throw new TypeError(`the farm answered without the job ${jobId}`);
      return { report: { kind: 'job', job } };
    }
    const answer = await client.call(client.farm.getStatus.bind(client.farm), {});
    const { address, context: named } = client;
    return { report: { kind: 'status', address, context: named, status: answer } };
  },
});
