import { defineCommand } from '../command.ts';

export const status = defineCommand({
  name: 'status',
  summary: 'how the farm is',
  async run(_args, _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.farm.getStatus.bind(client.farm), {});
    return { report: { kind: 'status', address: client.address, status: answer } };
  },
});
