import { defineCommand } from '../command.ts';
import { noteAge } from '../output/note-age.ts';

export const explain = defineCommand({
  name: 'explain',
  summary: 'why a job or a unit waits, and what would help',
  description:
    'Says of a job, or of one of its units, what it waits for: the first reason for which each agent refuses it, with figures; what would help; and when it may start.',
  arguments: [{ syntax: '<id>', help: 'a job, such as j12, or a unit, such as j12/encode/7' }],
  examples: [
    ['furrow explain j12', 'each step, and what holds it'],
    ['furrow explain j12/encode/7', 'one unit'],
  ],
  async run([id = ''], _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.jobs.explain.bind(client.jobs), { id });
    noteAge(context.out, answer.ageMs);
    if (!answer.hearsAgents) {
      const leader = answer.leader === '' ? 'the leader' : answer.leader;
      context.out.note(
        `note: ${client.address} stands by and does not hear the agents: ${leader} can say more`,
      );
    }
    return { report: { kind: 'explanation', answer } };
  },
});
