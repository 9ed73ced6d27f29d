import { defineCommand } from '../command.ts';

export const logs = defineCommand<{ follow?: boolean }>({
  name: 'logs',
  summary: 'what units printed',
  description: 'Prints what the units of a job, or one unit, wrote to their output, oldest first.',
  arguments: [{ syntax: '<job-or-unit>', help: 'such as j12 or j12/encode/7' }],
  options: [{ flags: '-f, --follow', help: 'stay and print new lines until the job ends' }],
  examples: [
    ['furrow logs j12/encode/7', 'one unit'],
    ['furrow logs j12 -f', 'a whole job as it goes'],
  ],
  async run([id = ''], { follow = false }, context) {
    const { printLog } = await import('../output/print-log.ts');
    const client = await context.farm();
    const isUnit = id.includes('/');
    const request = { jobId: id.split('/')[0] ?? '', unitId: isUnit ? id : '', follow };
    const messages = client.stream(client.jobs.streamLogs.bind(client.jobs), request);
    for await (const message of messages) printLog(message, isUnit, context.out);
    return {};
  },
});
