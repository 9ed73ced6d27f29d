/** The agent's settings: flag > environment > config.json in its state folder > default. Frozen. */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { furrowHome, readFarmFile } from '../kit/furrow-home.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { readToken } from '../kit/token-file.ts';

const DEFAULT_FARM = '127.0.0.1:7400';

const BINARY_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** 4294967296, 4G, 4GB and 4GiB are the same. */
const bytesSchema = z.union([z.number(), z.string()]).transform((value, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(String(value).trim());
  if (match === null) {
    context.addIssue({ code: 'custom', message: 'must be a size such as 4GiB' });
    return z.NEVER;
  }
  return Math.floor(Number(match[1]) * (BINARY_UNITS[(match[2] ?? '').toLowerCase()] ?? 1));
});

const settingsSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores')
    .default(
      () =>
        hostname()
          .replace(/[^\w.-]/g, '-')
          .slice(0, 64) || 'agent',
    ),
  /** Cores to offer; 0 offers all. */
  cpus: z.coerce.number().min(0).max(4096).default(0),
  /** Main memory to offer, in bytes; 0 offers all. */
  ram: bytesSchema.default(0),
  /** Units at once; 0 for as many as fit. */
  maxUnits: z.coerce.number().int().min(0).max(100_000).default(0),
  state: z.string().optional(),
  farm: z.string().optional(),
  tokenFile: z.string().optional(),
  drainGraceMs: z.coerce.number().int().min(0).default(30_000),
  blobCacheBytes: bytesSchema.default(20 * 2 ** 30),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  exitWithParent: z.union([z.boolean(), z.stringbool()]).default(false),
});

type Settings = z.infer<typeof settingsSchema>;

export interface AgentConfig extends Readonly<Omit<Settings, 'state' | 'farm' | 'tokenFile'>> {
  /** HOST:PORT of the coordinator; of several, with commas between. */
  readonly farm: string;
  readonly token: string;
  /** Absolute path of the folder that is this agent's alone. */
  readonly stateDirectory: string;
}

export const AGENT_USAGE = `furrow agent: offers this machine to a farm

  --farm HOST:PORT[,…]    the coordinator, or all of them (default: this machine's farm, else
                          ${DEFAULT_FARM})
  --token-file FILE       the farm's token (default: $FURROW_TOKEN, else FURROW_HOME/token)
  --name NAME             this agent's name (default: the host's); a second one on a machine needs its own
  --cpus N                cores to offer (default: all)
  --ram SIZE              memory to offer, such as 8GiB (default: all)
  --max-units N           units at once (default: as many as fit)
  --state DIR             its state folder (default: FURROW_HOME/agents/NAME)
  --blob-cache-bytes SIZE disk for cached inputs (default: 20GiB)
  --drain-grace-ms MS     how long running units may go on after Ctrl-C or SIGTERM (default: 30000)
  --log-level LEVEL       trace, debug, info, warn, error or silent (default: info)
  --exit-with-parent      leave when standard input ends
`;

/** FurrowError: invalid BAD_USAGE; what `readToken` throws. */
export async function readAgentConfig(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<AgentConfig> {
  const flags = parseFlags(argv);
  const fromEnvironment = settingsOfEnvironment(environment);
  const home = furrowHome(flags['home'], environment);
  // The folder depends on the name, which the file in the folder must therefore not change.
  const { name, state } = parseSettings({ ...fromEnvironment, ...withoutHome(flags) });
  const stateDirectory = resolve(state ?? home.agentDir(name));
  const settings = parseSettings({
    ...settingsOfFile(join(stateDirectory, 'config.json')),
    ...fromEnvironment,
    ...withoutHome(flags),
    name,
  });
  const farm = settings.farm ?? (await farmIn(home.farmFile)) ?? DEFAULT_FARM;
  const token =
    settings.tokenFile === undefined && environment['FURROW_TOKEN']
      ? environment['FURROW_TOKEN']
      : await readToken(settings.tokenFile ?? home.tokenFile);
  return Object.freeze({ ...settings, farm, token, stateDirectory });
}

async function farmIn(farmFile: string): Promise<string | undefined> {
  const farm = await readFarmFile(farmFile);
  return farm && [farm.grpc, ...farm.peers].join(',');
}

function parseFlags(argv: readonly string[]): Record<string, string | undefined> {
  const value = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...argv],
      strict: true,
      options: {
        home: value,
        name: value,
        cpus: value,
        ram: value,
        'max-units': value,
        state: value,
        farm: value,
        'token-file': value,
        'drain-grace-ms': value,
        'blob-cache-bytes': value,
        'log-level': value,
        'exit-with-parent': { type: 'boolean' },
      },
    });
    return Object.fromEntries(
      Object.entries(values).map(([flag, given]) => [camelCase(flag), String(given)]),
    );
  } catch (error) {
    throw new FurrowError('invalid', 'BAD_USAGE', messageOf(error), { cause: error });
  }
}

function withoutHome({
  home: _home,
  ...settings
}: Record<string, string | undefined>): Record<string, string | undefined> {
  return settings;
}

/** FURROW_FARM and FURROW_LOG_LEVEL are everybody's; the others begin with FURROW_AGENT_. */
function settingsOfEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const key of Object.keys(settingsSchema.shape)) {
    const snake = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
    const shared = key === 'farm' || key === 'logLevel';
    const given = environment[shared ? `FURROW_${snake}` : `FURROW_AGENT_${snake}`];
    if (given !== undefined && given !== '') settings[key] = given;
  }
  return settings;
}

function settingsOfFile(path: string): Record<string, unknown> {
  if (!existsSync(path)) return {};
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const message = `${path} cannot be read: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'BAD_USAGE', message, { cause: error });
  }
}

function parseSettings(given: Record<string, unknown>): Settings {
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const key = issue?.path.join('.') ?? '';
  const message = `${key === '' ? '' : `${kebabCase(key)}: `}${issue?.message ?? 'bad settings'}`;
  throw new FurrowError('invalid', 'BAD_USAGE', message);
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_dash, letter: string) => letter.toUpperCase());
}

function kebabCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
