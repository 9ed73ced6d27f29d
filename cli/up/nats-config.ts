/** The configuration of the private nats-server of `furrow up`. */
import { createHash } from 'node:crypto';

export interface NatsConfigOptions {
  /** Holds the store, the configuration, the log and the pid. */
  readonly directory: string;
  /** Address to listen on; monitoring stays on loopback. */
  readonly host: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly token: string;
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
    `http_base_path: ${JSON.stringify(monitorPath(options.token))}`,
    `pid_file: ${JSON.stringify(`${options.directory}/nats-server.pid`)}`,
    `max_payload: ${MAX_PAYLOAD_BYTES}`,
    'jetstream {',
    `  store_dir: ${JSON.stringify(`${options.directory}/store`)}`,
    '  sync_interval: always',
    ...(options.maxFileStoreBytes === undefined
      ? []
      : [`  max_file_store: ${options.maxFileStoreBytes}`]),
    '}',
    `authorization { token: ${JSON.stringify(options.token)} }`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * nats-server's monitoring knows no token, so that its path is the secret: it is derived from the
 * farm's token, and every other path answers 404.
 */
export function monitorPath(token: string): string {
  return `/${createHash('sha256').update(`furrow monitor ${token}`).digest('base64url')}`;
}
