import { defineCommand } from '../command.ts';

export const watch = defineCommand({
  name: 'watch',
  summary: 'follow a job until it ends',
  description:
    'Follows a job until it ends, also across restarts of the farm. Ctrl-C stops watching only: the job goes on.',
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  examples: [
    ['furrow watch j12', 'progress in place on a terminal, plain lines in a pipe'],
    ['furrow watch j12 --json | jq -c .event', 'one JSON document an event'],
  ],
  async run([jobId = ''], _options, context) {
    const { watchToEnd } = await import('../follow-job.ts');
    return watchToEnd(jobId, context);
  },
});
