/** The coordinator's settings: flag > environment > file > default, parsed once, then frozen. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { type FurrowHome, furrowHome } from '../kit/furrow-home.ts';
import {
  fileSource,
  flagSource,
  kebabCase,
  layerSettings,
  type LayeredSettings,
  variableSource,
  withoutSecrets,
} from '../kit/settings-sources.ts';
import { isLoopback } from '../kit/trust.ts';

export const COORDINATOR_USAGE = `furrow coordinator: decides what runs where

  --nats URL[,URL]         nats-server addresses (default nats://127.0.0.1:7402)
  --nats-token-file FILE   one token for all of NATS, agents included (default: the farm's token): for a
                           server that nobody else can reach
  --nats-creds FILE        credentials of an account of your own cluster, and --nats-account-key FILE the
                           seed of a signing key of it, with which each agent gets its own credentials
  --nats-ca FILE           authority of its certificates, PEM (default: those that this system trusts)
  --nats-private           the nats-server of furrow up, whose keys are in the state folder
  --agent-credentials-ms MS
                           agents' credentials for NATS end after so long (default 3600000: one hour)
  --nats-monitor URL[,URL] monitoring of each server: where durability is read
  --listen HOST            address to listen on (default 127.0.0.1)
  --grpc-port PORT         default 7400; 0 takes a free one
  --http-port PORT         default 7401; 0 takes a free one
  --advertise HOST         host that agents use to reach this one (default: the one listened on)
  --announce BOOL          say so on the network, by mDNS, so that agents find it (default: true when it
                           listens beyond loopback)
  --mdns-interface ADDR    only on the network of this address (default: all); --mdns-port N (5353)
  --tls-cert FILE          a certificate of your own and its chain, PEM, instead of one by the farm's own
                           authority; --tls-key FILE its key; --tls-ca FILE the authority that clients
                           believe (default: those that their systems trust)
  --plaintext              no TLS for gRPC and HTTP: on loopback addresses only
  --lease-ttl-ms MS        a lease ends so long after the last heartbeat (default 15000, at least 1000)
  --heartbeat-ms MS        time between heartbeats (default: a fifth of the TTL, at most 3000)
  --takeover-grace-ms MS   nothing expires so long after a start (default 20000)
  --replicas N             copies of the journal in a NATS cluster (default 1)
  --snapshot-commits N     a snapshot every so many commits (default 10000)
  --max-units N            most units that agents hold at once, of all jobs (default: no limit)
  --job-retention-ms MS    a job that ended so long ago moves from memory into the archive, a failed one
                           not before it can no longer be retried (default 604800000: seven days)
  --max-ended-jobs N       and earlier when more than so many have ended (default 10000)
  --output-retention-ms MS kept outputs are deleted so long after their job's end (default 0: never)
  --min-free-bytes N       disk that uploads must leave free
  --blobs s3://BUCKET[/PREFIX]
                           keep blobs in a bucket of an S3-compatible service, which several
                           coordinators can share (default: in the state folder). Credentials are
                           found as by the AWS tools: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
                           AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, or the machine's role
  --s3-endpoint URL        where that service is (default: AWS)
  --s3-region REGION       default: AWS_REGION, else us-east-1 at an endpoint of your own
  --s3-path-style BOOL     URL/BUCKET instead of BUCKET.host (default: true with --s3-endpoint)
  --max-connections N      connections that may be open, gRPC and HTTP together (default: four fifths of
                           the files that may be)
  --max-connections-per-address N
                           of them from one address other than this machine's (default: a quarter)
  --max-requests-per-second N
                           requests from one address (default 10000)
  --failed-login-pause-ms MS
                           longest pause before the answer to one of many failed logins (default 10000)
  --accept-restored-store  go on although the NATS store is older than what was seen of it
  --home DIR               state folder (default $FURROW_HOME, else ~/.furrow)
  --log-level LEVEL        trace, debug, info, warn, error (default info)
  --exit-with-parent       end when standard input does
`;

const port = z.coerce.number().int().min(0).max(65_535);
const urls = z
  .union([z.string(), z.array(z.string())])
  .transform((text) => (typeof text === 'string' ? text.split(',') : text))
  .pipe(z.array(z.url()).min(1));

const bucketUrl = z
  .string()
  .regex(
    /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9._/-]*)?$/,
    'not s3://BUCKET[/PREFIX]',
  );

const DAY_MS = 24 * 60 * 60 * 1000;
/** A hundred years. */
const MOST_MS = 36_525 * DAY_MS;

const settings = z.strictObject({
  nats: urls.default(['nats://127.0.0.1:7402']),
  natsTokenFile: z.string().optional(),
  natsCreds: z.string().min(1).optional(),
  natsAccountKey: z.string().min(1).optional(),
  natsCa: z.string().min(1).optional(),
  natsPrivate: z.stringbool().or(z.boolean()).default(false),
  agentCredentialsMs: z.coerce
    .number()
    .int()
    .min(5_000)
    .max(30 * DAY_MS)
    .default(3_600_000),
  natsMonitor: urls.optional(),
  listen: z.string().min(1).default('127.0.0.1'),
  grpcPort: port.default(7400),
  httpPort: port.default(7401),
  advertise: z.string().min(1).optional(),
  announce: z.stringbool().or(z.boolean()).optional(),
  mdnsPort: port.optional(),
  mdnsInterface: z.string().min(1).optional(),
  plaintext: z.stringbool().or(z.boolean()).default(false),
  tlsCert: z.string().min(1).optional(),
  tlsKey: z.string().min(1).optional(),
  tlsCa: z.string().min(1).optional(),
  // Below a second, a pause of the network or of a busy machine would be taken for a death.
  leaseTtlMs: z.coerce.number().int().min(1_000).max(600_000).default(15_000),
  heartbeatMs: z.coerce.number().int().min(100).max(60_000).optional(),
  takeoverGraceMs: z.coerce.number().int().min(0).max(600_000).default(20_000),
  replicas: z.coerce.number().int().min(1).max(5).default(1),
  snapshotCommits: z.coerce.number().int().min(10).max(10_000_000).default(10_000),
  jobRetentionMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(MOST_MS)
    .default(7 * DAY_MS),
  maxUnits: z.coerce.number().int().min(0).max(10_000_000).default(0),
  maxEndedJobs: z.coerce.number().int().min(0).max(10_000_000).default(10_000),
  outputRetentionMs: z.coerce.number().int().min(0).max(MOST_MS).default(0),
  blobs: bucketUrl.optional(),
  s3Endpoint: z.url({ protocol: /^https?$/ }).optional(),
  s3Region: z.string().min(1).optional(),
  s3PathStyle: z.stringbool().or(z.boolean()).optional(),
  maxConnections: z.coerce.number().int().min(16).max(10_000_000).optional(),
  maxConnectionsPerAddress: z.coerce.number().int().min(1).max(10_000_000).optional(),
  maxRequestsPerSecond: z.coerce.number().int().min(1).max(10_000_000).optional(),
  failedLoginPauseMs: z.coerce.number().int().min(0).max(60_000).optional(),
  minFreeBytes: z.coerce.number().int().min(0).optional(),
  acceptRestoredStore: z.stringbool().or(z.boolean()).default(false),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  exitWithParent: z.stringbool().or(z.boolean()).default(false),
});

/** All of them, in the order of their list. */
export const COORDINATOR_SETTINGS = Object.keys(settings.shape) as (keyof typeof settings.shape)[];

/** Four beats may be lost before a lease is. */
const BEATS_PER_TTL = 5;
const LONGEST_HEARTBEAT_MS = 3_000;

export interface CoordinatorConfig extends Readonly<z.infer<typeof settings>> {
  readonly announce: boolean;
  readonly heartbeatMs: number;
  readonly home: FurrowHome;
}

const FLAGS = {
  nats: { type: 'string' },
  'nats-token-file': { type: 'string' },
  'nats-creds': { type: 'string' },
  'nats-account-key': { type: 'string' },
  'nats-ca': { type: 'string' },
  'nats-private': { type: 'boolean' },
  'agent-credentials-ms': { type: 'string' },
  'nats-monitor': { type: 'string' },
  listen: { type: 'string' },
  'grpc-port': { type: 'string' },
  'http-port': { type: 'string' },
  advertise: { type: 'string' },
  announce: { type: 'string' },
  'mdns-port': { type: 'string' },
  'mdns-interface': { type: 'string' },
  plaintext: { type: 'boolean' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-ca': { type: 'string' },
  'lease-ttl-ms': { type: 'string' },
  'heartbeat-ms': { type: 'string' },
  'takeover-grace-ms': { type: 'string' },
  replicas: { type: 'string' },
  'snapshot-commits': { type: 'string' },
  'job-retention-ms': { type: 'string' },
  'max-units': { type: 'string' },
  'max-ended-jobs': { type: 'string' },
  'output-retention-ms': { type: 'string' },
  'max-connections': { type: 'string' },
  'max-connections-per-address': { type: 'string' },
  'max-requests-per-second': { type: 'string' },
  'failed-login-pause-ms': { type: 'string' },
  'min-free-bytes': { type: 'string' },
  blobs: { type: 'string' },
  's3-endpoint': { type: 'string' },
  's3-region': { type: 'string' },
  's3-path-style': { type: 'string' },
  'accept-restored-store': { type: 'boolean' },
  home: { type: 'string' },
  'log-level': { type: 'string' },
  'exit-with-parent': { type: 'boolean' },
} as const;

export interface CoordinatorSettings {
  readonly config: CoordinatorConfig;
  readonly sourceOf: LayeredSettings['sourceOf'];
  readonly homeFlag: string | undefined;
}

/** FurrowError: invalid BAD_USAGE; failed-precondition PLAINTEXT_NOT_ALLOWED. */
export function readCoordinatorConfig(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): CoordinatorConfig {
  return readCoordinatorSettings(argv, environment).config;
}

/** The same, with where each is from. */
export function readCoordinatorSettings(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): CoordinatorSettings {
  const { home: given, ...flags } = parseFlags(argv);
  const homeFlag = typeof given === 'string' ? given : undefined;
  const home = furrowHome(homeFlag, environment);
  const path = join(home.coordinatorDir, 'config.json');
  const { values, sourceOf } = layerSettings([
    { values: readFile(path), sourceOf: () => fileSource(path) },
    { values: fromEnvironment(environment), sourceOf: (key) => variableSource(variableOf(key)) },
    {
      values: Object.fromEntries(
        Object.entries(flags).map(([flag, value]) => [camel(flag), value]),
      ),
      sourceOf: (key) => flagSource(`--${kebabCase(key)}`),
    },
  ]);
  return { config: configOf(values, home), sourceOf, homeFlag };
}

function configOf(values: Record<string, unknown>, home: FurrowHome): CoordinatorConfig {
  const parsed = settings.safeParse(values);
  if (!parsed.success) throw badUsage(describe(parsed.error));
  const { leaseTtlMs } = parsed.data;
  const usualMs = Math.min(LONGEST_HEARTBEAT_MS, Math.floor(leaseTtlMs / BEATS_PER_TTL));
  const { heartbeatMs = usualMs } = parsed.data;
  if (heartbeatMs * 2 > leaseTtlMs) {
    throw badUsage('--heartbeat-ms must be at most half of --lease-ttl-ms');
  }
  checkSecrets(parsed.data);
  if (parsed.data.blobs === undefined && parsed.data.s3Endpoint !== undefined) {
    throw badUsage('--s3-endpoint says where the service is, and --blobs s3://BUCKET which bucket');
  }
  const { announce = !isLoopback(parsed.data.listen) } = parsed.data;
  return Object.freeze({ ...parsed.data, heartbeatMs, announce, home });
}

function checkSecrets(given: z.infer<typeof settings>): void {
  const { listen, plaintext, tlsCert, tlsKey, tlsCa, natsCreds, natsAccountKey } = given;
  if (plaintext && !isLoopback(listen)) {
    const message = `--plaintext with --listen ${listen}, which reaches beyond this machine: tokens and films would travel unencrypted; leave --plaintext out`;
    throw new FurrowError('failed-precondition', 'PLAINTEXT_NOT_ALLOWED', message);
  }
  checkNats(given);
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw badUsage('--tls-cert and --tls-key go together');
  }
  if ((natsCreds === undefined) !== (natsAccountKey === undefined)) {
    throw badUsage('--nats-creds and --nats-account-key go together');
  }
  if (tlsCa !== undefined && tlsCert === undefined) throw badUsage('--tls-ca goes with --tls-cert');
  if (plaintext && tlsCert !== undefined) throw badUsage('--plaintext has no use for --tls-cert');
}

/** Servers that only this machine reaches may be as they like. */
function checkNats(given: z.infer<typeof settings>): void {
  const { nats, natsPrivate, natsCa, natsCreds, natsTokenFile } = given;
  const url = nats.find((candidate) => !isLoopback(new URL(candidate).hostname));
  if (url === undefined || natsPrivate) return;
  const far = String(withoutSecrets(url));
  if (natsCa === undefined && !nats.some((other) => other.startsWith('tls://'))) {
    const message = `--nats ${far}, which is another machine, without TLS: tokens, grants and results would travel unencrypted; use tls://`;
    throw new FurrowError('failed-precondition', 'PLAINTEXT_NOT_ALLOWED', message);
  }
  if (natsCreds !== undefined || natsTokenFile !== undefined) return;
  throw badUsage(
    `--nats ${far} needs --nats-private, --nats-creds or --nats-token-file: the farm's own token is not for servers and agents`,
  );
}

function parseFlags(argv: readonly string[]): Record<string, string | boolean | undefined> {
  try {
    return { ...parseArgs({ args: [...argv], options: FLAGS, strict: true }).values };
  } catch (error) {
    throw badUsage(messageOf(error));
  }
}

function readFile(path: string): Record<string, unknown> {
  if (!existsSync(path)) return {};
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw badUsage(`${path} is not valid: ${messageOf(error)}`);
  }
}

/** FURROW_LEASE_TTL_MS and the like; variables of other roles are left alone. */
function fromEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const known = Object.keys(settings.shape);
  return Object.fromEntries(
    known.flatMap((key) => {
      const value = environment[variableOf(key)];
      return value === undefined || value === '' ? [] : [[key, value]];
    }),
  );
}

function variableOf(key: string): string {
  return `FURROW_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function camel(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function describe(error: z.ZodError): string {
  const issue = error.issues[0];
  const where = issue?.path.join('.') ?? '';
  return `${where === '' ? 'settings' : where}: ${issue?.message ?? 'invalid'}`;
}

function badUsage(message: string): FurrowError {
  return new FurrowError('invalid', 'BAD_USAGE', `${message}; see furrow coordinator --help`);
}
