import { defineCommand } from '../command.ts';

export const proof = defineCommand({
  name: 'proof',
  summary: "show what was checked of a job's files",
  description:
    "Shows what was checked of a job's files before they were handed over, each check with what was expected and what was found. Ends with 4 unless all of them hold.",
  arguments: [
    { syntax: '<job>', help: 'such as j12' },
    { syntax: '[name]', help: 'of several proofs, the one of this name' },
  ],
  examples: [
    ['furrow proof j12', 'all checks'],
    ["furrow proof j12 --json | jq '.proofs[].checks[] | select(.ok | not)'", 'those that failed'],
  ],
  async run([jobId = '', name], _options, context) {
    const { showProofs } = await import('../show-proofs.ts');
    return showProofs(jobId, name, context);
  },
});
