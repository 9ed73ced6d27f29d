/** What is shared out besides machines: named tickets, and the farm itself between owners. */
import type { Sharing } from '../../proto/gen/furrow/v1/farm_service.ts';
import type { FarmClient } from '../client.ts';
import { defineCommand } from '../command.ts';
import { bytes, integerIn } from '../options.ts';

export const listTickets = defineCommand({
  name: 'list',
  summary: 'which tickets there are, and how many are in use',
  isDefault: true,
  async run(_args, _options, context) {
    const { tickets } = await sharingOf(await context.farm());
    return { report: { kind: 'tickets', tickets } };
  },
});

export const setTickets = defineCommand({
  name: 'set',
  summary: 'say how many there are of a ticket',
  description:
    'Says how many there are of a ticket: no more units that demand it run at once. With 0 it is forgotten, and no step may demand it. A step demands tickets in its demand; furrow submit --ticket does so for all units of a job.',
  arguments: [
    { syntax: '<name>', help: 'such as nuke' },
    { syntax: '<n>', help: 'from 0 to 1000000' },
  ],
  examples: [['furrow tickets set nuke 5', 'five licences of nuke']],
  async run([name = '', count = ''], _options, context) {
    const limit = integerIn(0, 1_000_000)(count);
    const client = await context.farm();
    await client.call(client.farm.setTickets.bind(client.farm), { name, limit });
    const { tickets } = await sharingOf(client);
    return { report: { kind: 'tickets', tickets } };
  },
});

export const listOwners = defineCommand({
  name: 'list',
  summary: 'who has which share of the farm',
  description:
    'Who has which share of the farm. HOLDS is what their units take now, HELD what they took on average over the last hours, in cores: memory and GPUs count as the cores that they could serve.',
  isDefault: true,
  async run(_args, _options, context) {
    const { owners } = await sharingOf(await context.farm());
    return { report: { kind: 'owners', owners } };
  },
});

export const setOwner = defineCommand<{
  weight?: number;
  maxUnits?: number;
  maxQueued?: number;
  maxStored?: number;
}>({
  name: 'set',
  summary: "set an owner's share and limits",
  description:
    "Sets an owner's share: among jobs of one priority, owners get the farm in proportion to their weights.",
  arguments: [{ syntax: '<owner>', help: 'as submits name it' }],
  options: [
    { flags: '--weight <n>', help: 'from 1 to 1000 (at first: 1)', parse: integerIn(1, 1_000) },
    {
      flags: '--max-units <n>',
      help: 'most units at once; 0 for no limit',
      parse: integerIn(0, 10_000_000),
    },
    {
      flags: '--max-queued <n>',
      help: 'most units that may wait; 0 for no limit',
      parse: integerIn(0, 1_000_000_000),
    },
    {
      flags: '--max-stored <size>',
      help: 'most that inputs and outputs may take, such as 500GiB; 0 for no limit',
      parse: bytes,
    },
  ],
  examples: [
    [
      'furrow owners set tom --max-queued 5000 --max-stored 500GiB',
      'submits beyond that are refused',
    ],
    ['furrow owners set mia --weight 3', 'three times as much as others'],
  ],
  async run([name = ''], { weight, maxUnits, maxQueued, maxStored }, context) {
    const client = await context.farm();
    const limits = { maxUnits, maxQueued, maxStoredBytes: maxStored };
    await client.call(client.farm.setOwner.bind(client.farm), { name, weight, ...limits });
    const { owners } = await sharingOf(client);
    return { report: { kind: 'owners', owners } };
  },
});

async function sharingOf(client: FarmClient): Promise<Sharing> {
  const { sharing } = await client.call(client.farm.getStatus.bind(client.farm), {});
  return sharing ?? { tickets: [], owners: [] };
}
