import type { UpCommandOptions } from '../up/run-up.ts';
import { defineCommand } from '../command.ts';
import { integerIn } from '../options.ts';

const port = integerIn(0, 65_535);

export const up = defineCommand<UpCommandOptions>({
  name: 'up',
  summary: 'start a farm on this machine, with an agent',
  description:
    'Starts a farm on this machine: nats-server, a coordinator and an agent, kept running until Ctrl-C. Jobs and files are kept between runs.',
  options: [
    { flags: '--home <dir>', help: 'state folder (default: $FURROW_HOME, else ~/.furrow)' },
    {
      flags: '--agents <n>',
      help: 'agents that share this machine (default: 1)',
      parse: integerIn(0, 64),
    },
    { flags: '--listen <host>', help: 'address to listen on (default: 127.0.0.1)' },
    { flags: '--advertise <host>', help: 'how other machines reach this one' },
    {
      flags: '--accept-restored-store',
      help: 'go on with a NATS store that is older than what was seen of it',
    },
    { flags: '--grpc-port <n>', help: 'default: 7400; 0 takes a free one', parse: port },
    { flags: '--http-port <n>', help: 'default: 7401; 0 takes a free one', parse: port },
    { flags: '--nats-port <n>', help: 'default: 7402; 0 takes a free one', parse: port },
  ],
  examples: [
    ['furrow up', 'a farm for this machine alone'],
    ['furrow up --listen 192.168.1.5', 'other machines may join: it prints the line for them'],
  ],
  async run(_args, options, context) {
    const { runUp } = await import('../up/run-up.ts');
    return runUp(options, context);
  },
});
