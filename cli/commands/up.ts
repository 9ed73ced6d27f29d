import { realpathSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { systemClock } from '../../kit/clock.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { defineCommand, type CommandContext } from '../command.ts';
import { integerIn } from '../options.ts';
import { formatDuration } from '../output/format.ts';
import { exitWords } from '../up/role-process.ts';
import type { SupervisorEvent } from '../up/supervisor.ts';
import { agentNames, startFarm, type RunningFarm } from '../up/up.ts';

interface UpCommandOptions {
  readonly home?: string;
  readonly agents?: number;
  readonly listen?: string;
  readonly advertise?: string;
  readonly insecureLan?: boolean;
  readonly grpcPort?: number;
  readonly httpPort?: number;
  readonly natsPort?: number;
}

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
    { flags: '--insecure-lan', help: "let the farm's token travel a network unencrypted" },
    { flags: '--grpc-port <n>', help: 'default: 7400; 0 takes a free one', parse: port },
    { flags: '--http-port <n>', help: 'default: 7401; 0 takes a free one', parse: port },
    { flags: '--nats-port <n>', help: 'default: 7402; 0 takes a free one', parse: port },
  ],
  examples: [
    ['furrow up', 'a farm for this machine alone'],
    [
      'furrow up --listen 192.168.1.5 --insecure-lan',
      'others join with: furrow agent --farm 192.168.1.5:7400 --token-file FILE',
    ],
  ],
  async run(_args, options, context) {
    const { out, signal, environment } = context;
    const home = furrowHome(options.home, environment);
    const agents = agentNames(options.agents ?? 1);
    const farm = await startFarm({
      home,
      environment,
      clock: systemClock,
      agents,
      grpcPort: options.grpcPort ?? 7400,
      httpPort: options.httpPort ?? 7401,
      natsPort: options.natsPort ?? 7402,
      listen: options.listen ?? '127.0.0.1',
      advertise: options.advertise,
      insecureLan: options.insecureLan === true,
      signal,
      onEvent: (part, event) => out.note(eventLine(part, event)),
    });
    if (out.json) out.jsonLine({ ...farm.farm, home: home.root, agents });
    else for (const line of welcome(farm, agents, home.root, context)) out.line(line);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    out.note('');
    await farm.stop((part) => out.note(`stopping ${part}`));
    return {};
  },
});

function eventLine(part: string, event: SupervisorEvent): string {
  switch (event.kind) {
    case 'ended':
      return `${part} ${exitWords(event.exit)}; starting it again in ${formatDuration(event.pauseMs)}`;
    case 'start-failed':
      return `${part} does not start: ${event.message}; trying again in ${formatDuration(event.pauseMs)}`;
    case 'restarted':
      return `${part} runs again (process ${event.pid})`;
  }
}

function welcome(
  { farm, natsVersion }: RunningFarm,
  agents: readonly string[],
  root: string,
  { out, environment }: CommandContext,
): string[] {
  const { bold, dim } = out.style;
  const furrow = programName(environment);
  // Another terminal does not have this one's FURROW_HOME.
  const isDefaultHome = furrowHome(undefined, {}).root === root;
  return [
    `${bold('The farm is up.')} State is in ${root}.`,
    `${dim('coordinator')}  ${farm.grpc} (gRPC), ${farm.http}`,
    `${dim('nats-server')}  ${farm.nats.join(', ')} (${natsVersion})`,
    `${dim('agents     ')}  ${agents.join(', ') || 'none'}`,
    '',
    'Try next, in another terminal:',
    ...(isDefaultHome ? [] : [`  export FURROW_HOME=${root}`]),
    `  ffmpeg -f lavfi -i testsrc2=duration=20 clip.mov  ${dim('# or take a film of yours')}`,
    `  ${furrow} submit clip.mov -o clip.mp4`,
    `  ${furrow} jobs --all`,
    '',
    dim('Ctrl-C stops the farm. Jobs and files are kept.'),
  ];
}

/** What a person types to run us: our name where it is on PATH, else how we were started. */
function programName(environment: NodeJS.ProcessEnv): string {
  const main = realpathSync(process.argv[1] ?? '');
  const isOnPath = (environment['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      return realpathSync(join(folder, 'furrow')) === main;
    } catch {
      return false;
    }
  });
  return isOnPath ? 'furrow' : `node ${relative(process.cwd(), main)}`;
}
