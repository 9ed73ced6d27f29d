/**
 * The one way in which coordinator, agent and cli connect to NATS: it never gives up on a server
 * that is away, notices a dead connection within seconds, and gives up at once on wrong credentials.
 */
import { connect, ErrorCode, Events, NatsError, type NatsConnection } from 'nats';
import { FurrowError, messageOf } from './furrow-error.ts';
import { type NatsAuth, natsAuthOptions } from './nats-auth.ts';
import type { Trust } from './trust.ts';

export type { NatsConnection };

/**
 * - `waiting`: the first connection takes long; it is tried on.
 * - `disconnected`: the server is away; it is tried on.
 * - `closed`: for good; with an error when nobody here closed it (credentials that are no longer right).
 */
export type NatsStatus =
  | { readonly state: 'waiting' }
  | { readonly state: 'connected'; readonly server: string }
  | { readonly state: 'disconnected'; readonly server: string }
  | { readonly state: 'closed'; readonly error: FurrowError | undefined };

export interface NatsOptions {
  /** Such as nats://127.0.0.1:7402. */
  readonly servers: readonly string[];
  readonly auth: NatsAuth;
  /** Default: plain text. */
  readonly trust?: Trust;
  /** Where answers to requests arrive: whoever may not listen everywhere has a place of its own. */
  readonly inboxPrefix?: string;
  /** Shown by the server's monitoring: the role and who it is. */
  readonly name: string;
  readonly onStatus?: (status: NatsStatus) => void;
}

const inboxPrefixes = new WeakMap<NatsConnection, string>();

/** Of a connection that `connectNats` made; undefined for the usual one. */
export function inboxPrefixOf(nats: NatsConnection): string | undefined {
  return inboxPrefixes.get(nats);
}

/** With two pings unanswered the connection counts as dead: within 9 s, less than a lease's TTL. */
const PING_INTERVAL_MS = 3_000;
const MAX_PINGS_OUT = 2;
/** Between tries for one server. The jitter keeps thirty agents from coming back in one moment. */
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 750;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const WAITING_AFTER_MS = 3_000;

/**
 * Resolves once connected, however long that takes. Rejects with a FurrowError: unauthenticated
 * NATS_TOKEN_REFUSED, invalid NATS_CONNECT_FAILED.
 */
export async function connectNats(options: NatsOptions): Promise<NatsConnection> {
  const tell = options.onStatus ?? (() => undefined);
  const waiting = setTimeout(() => tell({ state: 'waiting' }), WAITING_AFTER_MS);
  try {
    const nats = await connect({
      servers: [...options.servers],
      ...natsAuthOptions(options.auth, options.trust),
      ...(options.inboxPrefix !== undefined && { inboxPrefix: options.inboxPrefix }),
      name: options.name,
      timeout: HANDSHAKE_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: MAX_PINGS_OUT,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      reconnectJitterTLS: RECONNECT_JITTER_MS,
      // A stack trace for each request costs more than the request.
      noAsyncTraces: true,
    });
    if (options.inboxPrefix !== undefined) inboxPrefixes.set(nats, options.inboxPrefix);
    void follow(nats, tell);
    tell({ state: 'connected', server: nats.getServer() });
    return nats;
  } catch (error) {
    throw connectError(error, options.servers);
  } finally {
    clearTimeout(waiting);
  }
}

async function follow(nats: NatsConnection, tell: (status: NatsStatus) => void): Promise<void> {
  const closed = nats.closed().then((error) => {
    const cause = error === undefined ? undefined : connectError(error, [nats.getServer()]);
    tell({ state: 'closed', error: cause });
  });
  for await (const status of nats.status()) {
    if (status.type === Events.Disconnect) {
      tell({ state: 'disconnected', server: nats.getServer() });
    } else if (status.type === Events.Reconnect) {
      tell({ state: 'connected', server: nats.getServer() });
    }
  }
  await closed;
}

function connectError(error: unknown, servers: readonly string[]): FurrowError {
  const where = servers.join(', ');
  if (error instanceof NatsError && AUTH_ERRORS.has(error.code)) {
    const remedy = `NATS at ${where} refuses the credentials: they are of another farm, were revoked, or have expired`;
    return new FurrowError('unauthenticated', 'NATS_TOKEN_REFUSED', remedy, { cause: error });
  }
  const message = `cannot connect to NATS at ${where}: ${messageOf(error)}`;
  return new FurrowError('invalid', 'NATS_CONNECT_FAILED', message, { cause: error });
}

const AUTH_ERRORS: ReadonlySet<string> = new Set([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AuthenticationTimeout,
]);
