/** The configuration of the private nats-server of `furrow up`. */
import { createHash } from 'node:crypto';
import type { NatsAccounts } from '../../kit/nats-keys.ts';

export interface NatsConfigOptions {
  /** Holds the store, the configuration, the log and the pid. */
  readonly directory: string;
  /** Address to listen on; monitoring stays on loopback. */
  readonly host: string;
  readonly port: number;
  readonly monitorPort: number;
  /** In front of the monitoring's paths: a secret. */
  readonly monitorSecret: string;
  readonly auth: ServerAuth;
  /** Strangers included. As `mostConnections` says. */
  readonly maxConnections: number;
  /** Bytes that JetStream may keep; undefined leaves it to nats-server (three quarters of the disk). */
  readonly maxFileStoreBytes: number | undefined;
}

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;
/**
 * Strangers count as long as they may take to say who they are: so many in all that thousands who say nothing
 * leave room for agents, and so few that they take some hundred megabytes and no more.
 */
const MOST_CONNECTIONS = 10_000;
/** Of the files that may be open: what is left is for the store. Without it a full house stops the journal. */
const SHARE_OF_FILES = 0.75;
const TLS_TIMEOUT_S = 5;
const LOGIN_TIMEOUT_S = 3;

/**
 * `sync_interval: always` is what makes an acknowledged commit durable: fsync before the answer.
 * JSON's strings are valid strings of this format.
 */
export function natsConfig(options: NatsConfigOptions): string {
  const lines = [
    '# Written by furrow up at each start: changes here are lost.',
    `server_name: ${JSON.stringify('furrow')}`,
    `listen: ${JSON.stringify(`${options.host}:${options.port}`)}`,
    `http: ${JSON.stringify(`127.0.0.1:${options.monitorPort}`)}`,
    `http_base_path: ${JSON.stringify(monitorPath(options.monitorSecret))}`,
    `pid_file: ${JSON.stringify(`${options.directory}/nats-server.pid`)}`,
    `max_payload: ${MAX_PAYLOAD_BYTES}`,
    ...limitLines(options.maxConnections),
    'jetstream {',
    `  store_dir: ${JSON.stringify(`${options.directory}/store`)}`,
    '  sync_interval: always',
    ...(options.maxFileStoreBytes === undefined
      ? []
      : [`  max_file_store: ${options.maxFileStoreBytes}`]),
    '}',
    ...authLines(options.auth, options.directory),
  ];
  return `${lines.join('\n')}\n`;
}

/** How many connections nats-server takes, where it may open so many files; undefined where nobody knows. */
export function mostConnections(mostOpenFiles: number | undefined): number {
  return Math.min(MOST_CONNECTIONS, Math.floor((mostOpenFiles ?? Infinity) * SHARE_OF_FILES));
}

/** What one connection may take, and all of them. */
export function limitLines(maxConnections: number): string[] {
  return [
    `max_connections: ${maxConnections}`,
    // Enough for a user's JWT; nobody else sends a long line before it is known.
    'max_control_line: 4096',
    // Who does not read what it asked for is cut off: after so much, or so long.
    'max_pending: 67108864',
    'write_deadline: "10s"',
    // Who is gone without a word is let go within two minutes.
    'ping_interval: "40s"',
    'ping_max: 2',
  ];
}

/** Who is let in. */
export type ServerAuth =
  /** Whoever has this token, without TLS. */
  | { readonly kind: 'token'; readonly token: string }
  /** Users of the farm's accounts, by TLS. */
  | {
      readonly kind: 'accounts';
      readonly accounts: NatsAccounts;
      /** PEM file with certificate, chain and key. */
      readonly certificateFile: string;
    };

function authLines(auth: ServerAuth, directory: string): string[] {
  if (auth.kind === 'token') {
    const token = JSON.stringify(auth.token);
    return [`authorization { token: ${token}, timeout: ${LOGIN_TIMEOUT_S} }`];
  }
  return accountLines(auth.accounts, auth.certificateFile, `${directory}/accounts`);
}

/** TLS, and users of the farm's accounts alone. */
export function accountLines(
  { operatorJwt, systemAccount, preload }: NatsAccounts,
  certificateFile: string,
  directory: string,
): string[] {
  const file = JSON.stringify(certificateFile);
  return [
    `tls { cert_file: ${file}, key_file: ${file}, min_version: "1.2", timeout: ${TLS_TIMEOUT_S} }`,
    `authorization { timeout: ${LOGIN_TIMEOUT_S} }`,
    `operator: ${operatorJwt}`,
    `system_account: ${systemAccount}`,
    `resolver { type: full, dir: ${JSON.stringify(directory)}, allow_delete: false }`,
    'resolver_preload {',
    ...Object.entries(preload).map(([key, jwt]) => `  ${key}: ${jwt}`),
    '}',
  ];
}

/**
 * nats-server's monitoring knows no token, so that its path is the secret: it is derived from the
 * farm's token, and every other path answers 404.
 */
export function monitorPath(secret: string): string {
  return `/${createHash('sha256').update(`furrow monitor ${secret}`).digest('base64url')}`;
}
