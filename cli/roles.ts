/**
 * The long-running roles. Their code is loaded only when asked for: a client command must not wait
 * for what it never uses.
 */
import type { Command } from './command.ts';
import { defineCommand } from './command.ts';

const role = (
  name: string,
  summary: string,
  load: () => Promise<{ main: (argv: string[]) => Promise<number> }>,
): Command =>
  defineCommand({
    name,
    summary,
    // Its own parser knows its options, --help included.
    passThrough: true,
    arguments: [{ syntax: '[options...]', help: `see furrow ${name} --help` }],
    async run(args) {
      const { main } = await load();
      return { exitCode: await main([...args]) };
    },
  });

export const coordinator = role(
  'coordinator',
  'run a coordinator',
  () => import('../coordinator/main.ts'),
);

export const agent = role(
  'agent',
  'run an agent on this machine',
  () => import('../agent/main.ts'),
);
