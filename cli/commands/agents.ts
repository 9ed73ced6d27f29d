import { defineCommand } from '../command.ts';

export const agents = defineCommand({
  name: 'agents',
  summary: 'list the agents and what they have',
  description:
    'Lists the agents. CORES and MEMORY are what units have booked, of what there is; GPU is free video memory, of all.',
  async run(_args, _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.farm.listAgents.bind(client.farm), {});
    return { report: { kind: 'agents', agents: answer.agents } };
  },
});

export const drain = defineCommand({
  name: 'drain',
  summary: 'give an agent nothing new',
  description: 'Gives an agent nothing new; what it runs finishes. End it with furrow undrain.',
  arguments: [{ syntax: '<agent>', help: 'name or id' }],
  async run([agent = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.farm.drainAgent.bind(client.farm), { agent });
    return { report: { kind: 'drained', agent, draining: true } };
  },
});

export const undrain = defineCommand({
  name: 'undrain',
  summary: 'let a drained agent work again',
  arguments: [{ syntax: '<agent>', help: 'name or id' }],
  async run([agent = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.farm.undrainAgent.bind(client.farm), { agent });
    return { report: { kind: 'drained', agent, draining: false } };
  },
});
