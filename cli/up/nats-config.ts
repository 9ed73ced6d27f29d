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
  /** Bytes that JetStream may keep; undefined leaves it to nats-server (three quarters of the disk). */
  readonly maxFileStoreBytes: number | undefined;
}

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;

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
  if (auth.kind === 'token') return [`authorization { token: ${JSON.stringify(auth.token)} }`];
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
    `tls { cert_file: ${file}, key_file: ${file}, min_version: "1.2", timeout: 5 }`,
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
