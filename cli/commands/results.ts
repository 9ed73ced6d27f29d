import { defineCommand } from '../command.ts';

export const results = defineCommand({
  name: 'results',
  summary: 'show what became of each film of a folder',
  description:
    'Shows what became of each film of a job that encodes a folder: frames, sizes, and why there is none. Ends with 4 unless all of them were made.',
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  examples: [['furrow results j12', 'the table; results.csv among its files holds the same']],
  async run([jobId = ''], _options, context) {
    const { showResults } = await import('../show-results.ts');
    return showResults(jobId, context);
  },
});
