/** `furrow up`: starts the farm, says what to do with it, and keeps it until Ctrl-C. */
import { realpathSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { systemClock } from '../../kit/clock.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { isLoopback } from '../../kit/trust.ts';
import { Role } from '../../proto/gen/furrow/v1/farm_service.ts';
import { FarmClient } from '../client.ts';
import type { CommandContext, CommandResult } from '../command.ts';
import { LOCAL_CONTEXT, readContexts } from '../contexts.ts';
import { formatDuration } from '../output/format.ts';
import { exitWords } from './role-process.ts';
import type { SupervisorEvent } from './supervisor.ts';
import { agentNames, startFarm, type RunningFarm } from './up.ts';

export interface UpCommandOptions {
  readonly home?: string;
  readonly agents?: number;
  readonly listen?: string;
  readonly advertise?: string;
  readonly acceptRestoredStore?: boolean;
  readonly grpcPort?: number;
  readonly httpPort?: number;
  readonly natsPort?: number;
}

/** How long machines may join by the line that is printed. */
const INVITATION_MS = 24 * 60 * 60 * 1000;

/** Settles when the farm has ended. FurrowError: as `startFarm`. */
export async function runUp(
  options: UpCommandOptions,
  context: CommandContext,
): Promise<CommandResult> {
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
    acceptRestoredStore: options.acceptRestoredStore === true,
    signal,
    onEvent: (part, event) => out.note(eventLine(part, event)),
  });
  const joinUrl = await invitation(farm, signal);
  if (out.json) out.jsonLine({ ...farm.farm, home: home.root, agents, joinUrl });
  else for (const line of welcome(farm, agents, home.root, joinUrl, context)) out.line(line);
  const contexts = await readContexts(home).catch(() => undefined);
  if (contexts !== undefined && contexts.current !== LOCAL_CONTEXT) {
    out.note(
      `commands talk to context ${contexts.current}, not to this farm, unless they are told --context ${LOCAL_CONTEXT}`,
    );
  }
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  out.note('');
  await farm.stop((part) => out.note(`stopping ${part}`));
  return {};
}

/** For other machines, where they can reach this one. */
async function invitation(
  { farm, token }: RunningFarm,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (isLoopback(hostOf(farm.grpc))) return undefined;
  const { grpc: address, trust } = farm;
  const client = new FarmClient({ address, trust, token }, signal);
  try {
    const { url } = await client.call(client.farm.createToken.bind(client.farm), {
      role: Role.ROLE_AGENT,
      owner: '',
      label: 'furrow up',
      expiresAtMs: Date.now() + INVITATION_MS,
    });
    return url;
  } finally {
    client.close();
  }
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

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
  joinUrl: string | undefined,
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
    ...(joinUrl === undefined
      ? []
      : ['', 'Other machines join within the next 24 hours with:', `  furrow join '${joinUrl}'`]),
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
