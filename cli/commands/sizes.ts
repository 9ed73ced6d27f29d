import { defineCommand } from '../command.ts';

export const sizes = defineCommand({
  name: 'sizes',
  summary: 'list what units were seen to take',
  description:
    'Lists kinds of work and what nearly all of their units stay below. Units that declare less are given that much, with a margin.',
  async run(_args, _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.farm.listSizes.bind(client.farm), {});
    return { report: { kind: 'sizes', sizes: answer.sizes } };
  },
});
