/**
 * The long-running roles, in this process. Their code is loaded only when asked for: a client command
 * must not wait for what it never uses. This is the one door between the folders.
 */
import type { ShownSetting } from '../kit/settings-sources.ts';
import { defineCommand, type Command } from './command.ts';

interface Role {
  readonly main: (argv: string[]) => Promise<number>;
}

function role(name: string, summary: string, load: () => Promise<Role>): Command {
  return defineCommand({
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
}

export const coordinator = role('coordinator', 'run a coordinator', () => {
  // oxlint-disable-next-line no-restricted-imports -- see the head of this file
  return import('../coordinator/main.ts');
});

export const join = role('join', 'let this machine work for a farm', () => {
  // oxlint-disable-next-line no-restricted-imports -- see the head of this file
  return import('../agent/join-command.ts');
});

export const agent = role('agent', 'run an agent on this machine', () => {
  // oxlint-disable-next-line no-restricted-imports -- see the head of this file
  return import('../agent/main.ts');
});

/** What such a role would be started with here. FurrowError: invalid BAD_USAGE, and those of its files. */
export async function settingsOfRole(
  role: 'coordinator' | 'agent',
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<ShownSetting[]> {
  const { showConfig } =
    role === 'coordinator'
      ? // oxlint-disable-next-line no-restricted-imports -- see the head of this file
        await import('../coordinator/show-config.ts')
      : // oxlint-disable-next-line no-restricted-imports -- see the head of this file
        await import('../agent/show-config.ts');
  return showConfig(argv, environment);
}
