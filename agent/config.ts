/** The agent's settings: flag > environment > config.json in its state folder > default. Frozen. */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type FurrowHome, furrowHome, readFarmFile } from '../kit/furrow-home.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { DEFAULT_FARM, wayToFarm } from '../kit/farm-way.ts';
import { fileSource, flagSource, kebabCase } from '../kit/settings-sources.ts';
import { layerSettings, type LayeredSettings, variableSource } from '../kit/settings-sources.ts';
import { readToken } from '../kit/token-file.ts';
import type { Trust } from '../kit/trust.ts';
import type { PolicyTerms } from '../proto/agent-policy.ts';
import { OWN_POLICY_SETTINGS, OWN_POLICY_USAGE, ownTerms } from './owner/own-policy.ts';
import { type Joined, readJoined } from './joined.ts';
import { failurePatternSchema } from './failure-patterns.ts';
import { PROGRAM_FLAGS, PROGRAM_SETTINGS, PROGRAM_USAGE } from './sandbox/settings.ts';

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
  const bytes = Math.floor(Number(match[1]) * (BINARY_UNITS[(match[2] ?? '').toLowerCase()] ?? 1));
  if (Number.isSafeInteger(bytes)) return bytes;
  context.addIssue({ code: 'custom', message: 'is larger than any machine: give less' });
  return z.NEVER;
});

/** `studio,night`, or a list. */
const labelsSchema = z
  .union([z.string(), z.array(z.string())])
  .default('')
  .transform((given) => [given].flat().flatMap((text) => text.split(',')))
  .transform((labels) => labels.map((label) => label.trim()).filter((label) => label !== ''))
  .refine(
    (labels) => labels.every((label) => /^[A-Za-z0-9][\w.-]{0,63}$/.test(label)),
    'must be 1 to 64 letters, digits, dots, dashes or underscores; of several, with commas between',
  );
/** What every agent proves by itself. */
const BUILT_IN_TOOLS: ReadonlySet<string> = new Set(['command', 'ffmpeg']);

/** A command as one text, split at spaces as no shell reads it, or as a list. */
const commandSchema = z.union([z.string(), z.array(z.string())]).transform((given, context) => {
  const words = typeof given === 'string' ? given.split(' ') : given;
  const argv = words.filter((word) => word !== '');
  if (argv.length > 0) return argv;
  context.addIssue({ code: 'custom', message: 'must be a command such as "blender --version"' });
  return z.NEVER;
});

const toolsSchema = z.record(z.string(), commandSchema).superRefine((tools, context) => {
  for (const name of Object.keys(tools)) {
    const message = BUILT_IN_TOOLS.has(name)
      ? `${name} is proven anyway: leave it out`
      : `${JSON.stringify(name)} is no name for a tool: 1 to 32 of a-z, 0-9, dot, dash, underscore`;
    if (BUILT_IN_TOOLS.has(name) || !/^[a-z0-9][a-z0-9._-]{0,31}$/.test(name)) {
      context.addIssue({ code: 'custom', message });
    }
  }
});

const withoutPerSecond = (value: unknown): unknown =>
  typeof value === 'string' ? value.replace(/\/s$/, '') : value;

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
  /** Leases that may wait behind running ones; left out for what the coordinator thinks right. */
  maxWaiting: z.coerce.number().int().min(0).max(100_000).optional(),
  /** What jobs may ask for: labels of the owner's own. */
  tag: labelsSchema,
  /** Jobs that ask for a pool run only there. */
  pool: labelsSchema,
  /** Programs of this machine, each with the command that proves it. */
  tools: z.preprocess(toolsIn, toolsSchema).default({}),
  state: z.string().optional(),
  farm: z.string().optional(),
  /** Look for a farm on this network when none is named. */
  discover: z.union([z.boolean(), z.stringbool()]).default(true),
  mdnsPort: z.coerce.number().int().min(1).max(65_535).optional(),
  /** Address of the one interface to look on. */
  mdnsInterface: z.string().optional(),
  tokenFile: z.string().optional(),
  ca: z.string().optional(),
  plaintext: z.union([z.boolean(), z.stringbool()]).default(false),
  drainGraceMs: z.coerce.number().int().min(0).default(30_000),
  blobCacheBytes: bytesSchema.default(20 * 2 ** 30),
  memoryEnforcement: z.enum(['off', 'watch', 'cgroup', 'auto']).default('auto'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  exitWithParent: z.union([z.boolean(), z.stringbool()]).default(false),
  /** Of files from and to the farm, in bytes a second; 0 for no limit. */
  maxBandwidth: z.preprocess(withoutPerSecond, bytesSchema).default(0),
  ...OWN_POLICY_SETTINGS,
  ...PROGRAM_SETTINGS,
  /** In config.json alone: a list does not fit a flag. */
  failurePatterns: z
    .array(failurePatternSchema, 'must be a list of {kind, pattern, message} in config.json')
    .default([]),
});

type Settings = z.infer<typeof settingsSchema>;

/** All of them, in the order of their list. */
export const AGENT_SETTINGS = Object.keys(settingsSchema.shape) as (keyof Settings)[];

type PolicyKey = keyof typeof OWN_POLICY_SETTINGS | 'maxBandwidth';

export interface AgentConfig extends Readonly<
  Omit<Settings, 'state' | 'farm' | 'tokenFile' | 'ca' | 'plaintext' | PolicyKey>
> {
  /** What the owner set at this machine. */
  readonly own: PolicyTerms;
  /** HOST:PORT of the coordinator; of several, with commas between. */
  readonly farm: string;
  /** False: it is the usual address, for want of a better one. */
  readonly isFarmNamed: boolean;
  /** With which it may join; undefined when it has joined and there is none at hand. */
  readonly token: string | undefined;
  /** Undefined: it has not joined this farm yet. */
  readonly joined: Joined | undefined;
  readonly trust: Trust;
  /** Absolute path of the folder that is this agent's alone. */
  readonly stateDirectory: string;
  /** Where the farm's files on this machine lie. */
  readonly homeDirectory: string;
}

export const AGENT_USAGE = `furrow agent: offers this machine to a farm

  --farm FARM             HOST:PORT of the coordinator, or of all with commas, or the farm's URL (default: this machine's farm, else the one
                          on this network that has the same token, else ${DEFAULT_FARM})
  --discover BOOL         look for that one, by mDNS (default: true)
  --mdns-interface ADDR   only on the network of this address (default: all); --mdns-port N (5353)
  --ca FILE               certificate authority to believe, PEM (default: this machine's farm's)
  --plaintext             no TLS: for a farm on this machine that was started so
  --token-file FILE       the farm's token (default: $FURROW_TOKEN, else FURROW_HOME/token)
  --name NAME             this agent's name (default: the host's); a second one on a machine needs its own
  --cpus N                cores to offer (default: all)
  --ram SIZE              memory to offer, such as 8GiB (default: all)
  --max-units N           units at once (default: as many as fit)
  --max-waiting N         units that may queue here behind running ones (default: as many as keep it busy)
  --tag NAME              a label that jobs may ask for; may be repeated
  --pool NAME             a pool that it belongs to; may be repeated
  --tool NAME=COMMAND     a program that units may demand as tool:NAME, and the command that proves it, such
                          as blender='blender --version'; may be repeated
  --state DIR             its state folder (default: FURROW_HOME/agents/NAME)
  --blob-cache-bytes SIZE disk for cached inputs (default: 20GiB)
  --memory-enforcement HOW
                          units that take more memory than they demand are ended: cgroup (by the kernel),
                          watch (by the agent), auto (both, as far as can be) or off (default: auto)
  --drain-grace-ms MS     how long running units may go on after Ctrl-C or SIGTERM (default: 30000)
  --log-level LEVEL       trace, debug, info, warn, error or silent (default: info)
  --exit-with-parent      leave when standard input ends
${PROGRAM_USAGE}${OWN_POLICY_USAGE}`;

export interface AgentSettings {
  readonly settings: Settings;
  readonly sourceOf: LayeredSettings['sourceOf'];
  readonly home: FurrowHome;
  readonly homeFlag: string | undefined;
  readonly stateDirectory: string;
}

/** What is set, before the farm is looked for. FurrowError: invalid BAD_USAGE. */
export function readAgentSettings(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): AgentSettings {
  const { home: homeFlag, ...flags } = parseFlags(argv);
  const home = furrowHome(homeFlag, environment);
  const said = [
    { values: settingsOfEnvironment(environment), sourceOf: sourceOfVariable },
    { values: flags, sourceOf: sourceOfFlag },
  ];
  // The folder depends on the name, which the file in the folder must therefore not change.
  const named = layerSettings(said);
  const { name, state } = parseSettings(named.values);
  const stateDirectory = resolve(state ?? home.agentDir(name));
  const path = join(stateDirectory, 'config.json');
  const file = { values: settingsOfFile(path), sourceOf: () => fileSource(path) };
  const nameLast = { values: { name }, sourceOf: named.sourceOf };
  const { values, sourceOf } = layerSettings([file, ...said, nameLast]);
  return { settings: parseSettings(values), sourceOf, home, homeFlag, stateDirectory };
}

/** FurrowError: invalid BAD_USAGE; what `readToken` throws. */
export async function readAgentConfig(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<AgentConfig> {
  const { settings, home, stateDirectory } = readAgentSettings(argv, environment);
  const { terms: own, fault } = ownTerms(settings, settings.maxBandwidth);
  if (fault !== undefined) throw new FurrowError('invalid', 'BAD_USAGE', fault);
  const joined = await readJoined(stateDirectory);
  const { farm: named = joined?.farm, plaintext, ca: caFile } = settings;
  const {
    address: farm,
    trust,
    token: itsToken,
  } = await wayToFarm({ named, plaintext, caFile, home });
  const isFarmNamed = named !== undefined || (await readFarmFile(home.farmFile)) !== undefined;
  const token = await tokenToJoin(settings, home, itsToken ?? environment['FURROW_TOKEN'], joined);
  const way = { farm, isFarmNamed, token, ...trusting(settings, joined, trust) };
  const homeDirectory = home.root;
  return Object.freeze({ ...settings, ...way, own, stateDirectory, homeDirectory });
}

/** What the agent joined with stands, unless it was told of another farm since. */
function trusting(
  { farm: named, plaintext, ca }: Settings,
  joined: Joined | undefined,
  trust: Trust,
): Pick<AgentConfig, 'trust' | 'joined'> {
  if (joined === undefined) return { trust, joined };
  if (named === undefined && !plaintext && ca === undefined) return { trust: joined.trust, joined };
  const isSame = JSON.stringify(trust) === JSON.stringify(joined.trust);
  return { trust, joined: isSame ? joined : undefined };
}

async function tokenToJoin(
  { tokenFile }: Settings,
  home: FurrowHome,
  given: string | undefined,
  joined: Joined | undefined,
): Promise<string | undefined> {
  if (tokenFile === undefined && given) return given;
  try {
    return await readToken(tokenFile ?? home.tokenFile);
  } catch (error) {
    const isSpared = joined !== undefined && tokenFile === undefined;
    if (isSpared && error instanceof FurrowError && error.code === 'not-found') return undefined;
    throw error;
  }
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
        'max-waiting': value,
        tag: { ...value, multiple: true },
        pool: { ...value, multiple: true },
        tool: { type: 'string', multiple: true },
        state: value,
        farm: value,
        discover: value,
        'mdns-port': value,
        'mdns-interface': value,
        'token-file': value,
        ca: value,
        plaintext: { type: 'boolean' },
        'drain-grace-ms': value,
        'memory-enforcement': value,
        'blob-cache-bytes': value,
        'log-level': value,
        'exit-with-parent': { type: 'boolean' },
        'max-bandwidth': value,
        ...PROGRAM_FLAGS,
        ...Object.fromEntries(
          Object.keys(OWN_POLICY_SETTINGS).map((key) => [kebabCase(key), value]),
        ),
      },
    });
    const { tool, ...others } = values;
    const flags = Object.entries(others).map(([flag, given]) => [camelCase(flag), String(given)]);
    if (tool !== undefined) flags.push(['tools', tool.join('\n')]);
    return Object.fromEntries(flags) as Record<string, string>;
  } catch (error) {
    throw new FurrowError('invalid', 'BAD_USAGE', messageOf(error), { cause: error });
  }
}

/** NAME=COMMAND a line, as flag and environment give them; config.json has an object. */
function toolsIn(given: unknown): unknown {
  if (typeof given !== 'string') return given;
  const lines = given.split('\n').filter((line) => line.trim() !== '');
  return Object.fromEntries(
    lines.map((line) => {
      const cut = line.indexOf('=');
      return cut < 0 ? [line, ''] : [line.slice(0, cut).trim(), line.slice(cut + 1)];
    }),
  );
}

const SHARED_SETTINGS: ReadonlySet<string> = new Set(['farm', 'ca', 'plaintext', 'logLevel']);

/** FURROW_FARM, FURROW_CA, FURROW_PLAINTEXT and FURROW_LOG_LEVEL are everybody's; the others begin with FURROW_AGENT_. */
function settingsOfEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const key of Object.keys(settingsSchema.shape)) {
    const given = environment[variableOf(key)];
    if (given !== undefined && given !== '') settings[key] = given;
  }
  return settings;
}

function variableOf(key: string): string {
  const snake = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return SHARED_SETTINGS.has(key) ? `FURROW_${snake}` : `FURROW_AGENT_${snake}`;
}

const sourceOfVariable = (key: string) => variableSource(variableOf(key));
const sourceOfFlag = (key: string) =>
  flagSource(key === 'tools' ? '--tool' : `--${kebabCase(key)}`);

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
