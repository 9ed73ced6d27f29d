/** What is set, and where it was set. */
import { FurrowError } from '../../kit/furrow-error.ts';
import { defineCommand } from '../command.ts';
import { oneOf } from '../options.ts';
import { settingsOfRole } from '../roles.ts';

type Role = 'cli' | 'coordinator' | 'agent';

export const showConfig = defineCommand<{ role?: Role }>({
  name: 'show',
  isDefault: true,
  summary: 'each setting, its value, and where it came from',
  description:
    'Shows each setting, its value, and the flag, variable, file or context that it came from. Of a coordinator or an agent: what one would be started with here, with the flags after --. Nobody is asked, and secrets are not shown.',
  arguments: [{ syntax: '[flags...]', help: "the role's own flags, after --" }],
  options: [
    {
      flags: '--role <role>',
      help: 'cli, coordinator or agent (default: cli)',
      parse: oneOf('cli', 'coordinator', 'agent'),
    },
  ],
  optionsFirst: true,
  examples: [
    ['furrow config show', 'which farm commands talk to, and why'],
    ['furrow config show --role agent -- --name den --cpus 2', 'of an agent that is started so'],
  ],
  async run(flags, { role = 'cli' }, { environment, asked }) {
    if (role !== 'cli') {
      const settings = await settingsOfRole(role, flags, environment);
      return { report: { kind: 'config', role, settings } };
    }
    if (flags.length > 0) {
      const message = `flags after -- are those of --role coordinator or agent: put the CLI's before show`;
      throw new FurrowError('invalid', 'USAGE', message);
    }
    const { showClientConfig } = await import('../show-config.ts');
    const settings = await showClientConfig(asked, environment);
    return { report: { kind: 'config', role, settings } };
  },
});
