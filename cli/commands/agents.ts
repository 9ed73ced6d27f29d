import { FurrowError } from '../../kit/furrow-error.ts';
import type { Agent } from '../../proto/gen/furrow/v1/farm_service.ts';
import { defineCommand } from '../command.ts';
import { noteAge } from '../output/note-age.ts';

export const listAgents = defineCommand({
  name: 'list',
  isDefault: true,
  summary: 'list the agents and what they have, or one of them in full',
  description:
    'Lists the agents. CORES and MEMORY are what units have booked, of what there is; GPU is free video memory, of all. With an agent: its GPUs, what of their memory units and others use, what it can run, and what it tried and cannot.',
  arguments: [{ syntax: '[agent]', help: 'name or id' }],
  async run([wanted], _options, context) {
    const client = await context.farm();
    const answer = await client.call(client.farm.listAgents.bind(client.farm), {});
    const { agents: list, ageMs, coordinatorVersion } = answer;
    noteAge(context.out, ageMs);
    if (wanted === undefined) {
      return { report: { kind: 'agents', agents: list, ageMs, coordinatorVersion } };
    }
    return { report: { kind: 'agent', agent: agentNamed(list, wanted), ageMs } };
  },
});

/** FurrowError: not-found AGENT_UNKNOWN; conflict AGENT_AMBIGUOUS. */
function agentNamed(agents: readonly Agent[], wanted: string): Agent {
  const byId = agents.find(({ id }) => id === wanted);
  if (byId !== undefined) return byId;
  const [named, ...others] = agents.filter(({ name }) => name === wanted);
  if (named === undefined) {
    const message = `no agent ${JSON.stringify(wanted)}: furrow agents lists them`;
    throw new FurrowError('not-found', 'AGENT_UNKNOWN', message);
  }
  if (others.length > 0) {
    const ids = [named, ...others].map(({ id }) => id).join(', ');
    const message = `several agents are named ${wanted}: say which by its id, of ${ids}`;
    throw new FurrowError('conflict', 'AGENT_AMBIGUOUS', message);
  }
  return named;
}

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
