/**
 * How this coordinator comes into NATS, and what agents are let in with: credentials of their own for a while,
 * scoped to their own subjects, or, on a server that knows nothing better, the one token for all.
 */
import { connect } from 'nats';
import { readFile } from 'node:fs/promises';
import { parseCreds, type User } from '@nats-io/jwt';
import { ensureFarmCa, readPrivate } from '../../kit/farm-ca.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { type NatsAuth, natsAuthOptions } from '../../kit/nats-auth.ts';
import {
  accountJwt,
  coordinatorAuth,
  ensureNatsKeys,
  type NatsKeys,
  systemAuth,
  userJwt,
} from '../../kit/nats-keys.ts';
import { readToken } from '../../kit/token-file.ts';
import { FARM_SERVER_NAME, PLAINTEXT, type Trust } from '../../kit/trust.ts';
import {
  agentInboxPrefix,
  checkpointSubject,
  grantSubject,
  logSubject,
  progressSubject,
  REIGN_SUBJECT,
  resultSubject,
} from '../../proto/subjects.ts';
import type { CoordinatorConfig } from '../config.ts';

/** What an agent is told of NATS beside its addresses. */
export interface AgentNats {
  /** Empty where there are credentials. */
  readonly natsToken: string;
  readonly natsJwt: string;
  /** PEM; empty for what systems trust. */
  readonly natsCa: string;
  readonly natsServerName: string;
}

export interface NatsAccess {
  readonly auth: NatsAuth;
  readonly trust: Trust;
  /** `publicKey`: the one that the agent joined with; empty when it has none. */
  forAgent(agentId: string, publicKey: string): Promise<AgentNats>;
  /** Agents' credentials live so long, in milliseconds; undefined where they have none of their own. */
  readonly credentialsMs: number | undefined;
  /** Tells the servers whose credentials are void, and since when. Throws what NATS throws. */
  shutOut(keys: ReadonlyMap<string, number>): Promise<void>;
}

type Settings = Pick<
  CoordinatorConfig,
  | 'home'
  | 'nats'
  | 'natsPrivate'
  | 'natsTokenFile'
  | 'natsCreds'
  | 'natsAccountKey'
  | 'natsCa'
  | 'agentCredentialsMs'
>;

/** FurrowError: what the readers of those files throw. */
export async function openNatsAccess(
  settings: Settings,
  farmToken: string,
  log: Logger,
): Promise<NatsAccess> {
  if (settings.natsPrivate) return privateAccess(settings);
  const trust = await trustIn(settings);
  const { natsCreds, natsAccountKey, natsTokenFile } = settings;
  if (natsCreds !== undefined && natsAccountKey !== undefined) {
    return signingAccess(settings, trust, { natsCreds, natsAccountKey }, log);
  }
  const token = natsTokenFile === undefined ? farmToken : await readToken(natsTokenFile);
  const told = { natsToken: token, natsJwt: '', ...caOf(trust) };
  return {
    auth: { kind: 'token', token },
    trust,
    credentialsMs: undefined,
    forAgent: async () => told,
    shutOut: async () => log.warn('NATS knows one token for all: a revoked agent keeps it'),
  };
}

/** The nats-server of `furrow up`, whose keys we have. */
async function privateAccess(settings: Settings): Promise<NatsAccess> {
  const { home, nats: servers, agentCredentialsMs: credentialsMs } = settings;
  const keys = await ensureNatsKeys(home.keysDir);
  const { certificate: ca } = await ensureFarmCa(home.keysDir);
  const trust: Trust = { state: 'tls', ca, serverName: FARM_SERVER_NAME };
  return {
    auth: await coordinatorAuth(keys),
    trust,
    credentialsMs,
    forAgent: (agentId, publicKey) =>
      credentialsOf(agentId, publicKey, trust, (user) =>
        userJwt(keys.account, { ...user, expiresAtMs: Date.now() + credentialsMs }),
      ),
    shutOut: (shutOut) => updateAccount(servers, keys, trust, shutOut),
  };
}

/** Servers of others, where a key of ours may sign for our account. */
async function signingAccess(
  { agentCredentialsMs: credentialsMs }: Settings,
  trust: Trust,
  files: { readonly natsCreds: string; readonly natsAccountKey: string },
  log: Logger,
): Promise<NatsAccess> {
  const text = await readPrivate(files.natsCreds);
  const signer = (await readPrivate(files.natsAccountKey)).trim();
  const creds = await parseCreds(new TextEncoder().encode(text)).catch((error: unknown) => {
    const message = `${files.natsCreds} is no credentials file of NATS: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'NATS_CREDS_MALFORMED', message, { cause: error });
  });
  const issuer = creds.aid;
  return {
    auth: { kind: 'jwt', jwt: () => creds.jwt, seed: creds.key },
    trust,
    credentialsMs,
    forAgent: (agentId, publicKey) =>
      credentialsOf(agentId, publicKey, trust, (user) =>
        userJwt(signer, { ...user, account: issuer, expiresAtMs: Date.now() + credentialsMs }),
      ),
    shutOut: async () =>
      log.warn(
        { minutes: credentialsMs / 60_000 },
        'a revoked agent keeps NATS until its credentials end',
      ),
  };
}

async function credentialsOf(
  agentId: string,
  publicKey: string,
  trust: Trust,
  issue: (user: { name: string; publicKey: string; user: Partial<User> }) => Promise<string>,
): Promise<AgentNats> {
  if (publicKey === '') {
    const message = `agent ${agentId} has not joined: NATS lets in nobody else; let it join with furrow join`;
    throw new FurrowError('failed-precondition', 'AGENT_NOT_JOINED', message);
  }
  const natsJwt = await issue({ name: agentId, publicKey, user: permissionsOf(agentId) });
  return { natsToken: '', natsJwt, ...caOf(trust) };
}

/** For a reply to each grant. */
const RESPONSE_TTL_NS = 60 * 1e9;
/** Grants, announcements, and answers to its own requests. */
const MOST_SUBSCRIPTIONS = 32;

/** Its own subjects and nothing else: no other agent's grants or results, not the journal. */
function permissionsOf(agentId: string): Partial<User> {
  return {
    pub: {
      allow: [
        resultSubject(agentId),
        checkpointSubject(agentId),
        progressSubject('*', agentId),
        logSubject('*', agentId),
      ],
      deny: [],
    },
    sub: {
      allow: [grantSubject(agentId, '*'), REIGN_SUBJECT, `${agentInboxPrefix(agentId)}.>`],
      deny: [],
    },
    resp: { max: 1, ttl: RESPONSE_TTL_NS },
    subs: MOST_SUBSCRIPTIONS,
    data: -1,
    payload: -1,
  };
}

async function updateAccount(
  servers: readonly string[],
  keys: NatsKeys,
  trust: Trust,
  shutOut: ReadonlyMap<string, number>,
): Promise<void> {
  const options = natsAuthOptions(await systemAuth(keys), trust);
  const system = await connect({ ...options, servers: [...servers], reconnect: false });
  try {
    const jwt = await accountJwt(keys, shutOut);
    const reply = await system.request('$SYS.REQ.CLAIMS.UPDATE', jwt, { timeout: 5_000 });
    const { error } = reply.json<{ error?: { description?: string } }>();
    if (error !== undefined) throw new Error(`NATS refuses the account: ${error.description}`);
  } finally {
    await system.close();
  }
}

function caOf(trust: Trust): Pick<AgentNats, 'natsCa' | 'natsServerName'> {
  if (trust.state === 'plaintext') return { natsCa: '', natsServerName: '' };
  return { natsCa: trust.ca ?? '', natsServerName: trust.serverName ?? '' };
}

async function trustIn({ nats, natsCa }: Settings): Promise<Trust> {
  const isTls = nats.some((url) => url.startsWith('tls://'));
  if (natsCa !== undefined) return { state: 'tls', ca: await readFile(natsCa, 'utf8') };
  return isTls ? { state: 'tls' } : PLAINTEXT;
}
