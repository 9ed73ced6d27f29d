import { defineCommand } from '../command.ts';
import { EXIT } from '../exit-codes.ts';

export const demo = defineCommand({
  name: 'demo',
  summary: 'see a farm lose an agent and finish the film all the same',
  description:
    'Starts a farm of its own with two agents in a temporary folder, encodes a film on it in chunks, ends one agent with kill -9 half-way, and shows how the other takes over. The film and its proof are put in ./furrow-demo; everything else is removed, and nothing is left running.',
  arguments: [{ syntax: '[file]', help: 'your own film; without it, a clip of 30 s is rendered' }],
  examples: [
    ['furrow demo', 'about a minute'],
    ['furrow demo holiday.mov', 'with a film of yours; its file is only read'],
  ],
  async run([file], _options, context) {
    const { runDemo } = await import('../demo/run-demo.ts');
    const end = await runDemo(file, context);
    if (end.state === 'failed') {
      context.out.complain(`the film was not made: ${end.reason}`);
      return { exitCode: EXIT.jobFailed };
    }
    const { sourceFrames, filmFrames } = end.report;
    return {
      report: end.report,
      exitCode: filmFrames === sourceFrames ? EXIT.ok : EXIT.jobFailed,
    };
  },
});
