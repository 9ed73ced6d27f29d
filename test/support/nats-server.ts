/** A real private nats-server for one test file: its own port, store and token. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer, type NatsBinary } from '../../cli/up/nats-binary.ts';
import { startNatsServer, type NatsServer } from '../../cli/up/nats-server.ts';
import { createLog } from '../../kit/log.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import { connectNats, type NatsConnection } from '../../kit/nats-connection.ts';
import { standStill } from './processes.ts';

export interface TestNats {
  readonly url: string;
  readonly port: number;
  readonly monitorUrl: string;
  readonly token: string;
  readonly directory: string;
  pid(): number;
  /** SIGKILL, as a crash does; resolves when it is gone. */
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Starts it again on the same port and store. */
  start(): Promise<void>;
  /** SIGSTOP, until it stands still. */
  pause(): Promise<void>;
  resume(): void;
  /** A connection that `close` closes too. */
  connect(name: string, port?: number): Promise<NatsConnection>;
  /** Ends it and removes its store. */
  close(): Promise<void>;
}

/**
 * The newest that set-up finds, and the oldest that we support: they differ in how they look for
 * duplicates, when a new leader of a cluster serves, and what they sync.
 */
export const NATS_VERSIONS = ['newest', '2.10'] as const;
export type NatsVersion = (typeof NATS_VERSIONS)[number];

export interface TestNatsOptions {
  readonly version?: NatsVersion;
  /** Keeps the test's store small. */
  readonly maxFileStoreBytes?: number;
}

const PACKAGE_ROOT = join(import.meta.dirname, '..', '..');

export async function natsServerOf(version: NatsVersion): Promise<NatsBinary> {
  if (version === 'newest') return findNatsServer(PACKAGE_ROOT, process.env);
  const path = join(PACKAGE_ROOT, '.furrow-tools', 'nats-2.10', 'nats-server');
  if (!existsSync(path)) throw new Error(`${path} is missing: run deploy/setup.sh --nats-2.10`);
  const binary = await findNatsServer(PACKAGE_ROOT, { FURROW_NATS_SERVER: path });
  if (!binary.version.startsWith('2.10.')) throw new Error(`${path} is ${binary.version}`);
  return binary;
}

export async function startTestNats(options: TestNatsOptions = {}): Promise<TestNats> {
  const directory = await mkdtemp(join(tmpdir(), 'furrow-nats-'));
  const token = 'test-token-of-forty-three-characters-000000';
  const binary = await natsServerOf(options.version ?? 'newest');
  const log = createLog({ role: 'test', level: 'silent' });
  const launch = (port: number, monitorPort: number): Promise<NatsServer> =>
    startNatsServer({
      binary,
      directory,
      monitorSecret: token,
      auth: { kind: 'token', token },
      own: { auth: { kind: 'token', token }, trust: PLAINTEXT },
      port,
      monitorPort,
      maxFileStoreBytes: options.maxFileStoreBytes,
      log,
    });
  let server = await launch(0, 0);
  const { url, port, monitorUrl, monitorPort } = server;
  const connections: NatsConnection[] = [];
  const signal = (name: NodeJS.Signals): boolean => process.kill(server.pid, name);
  return {
    url,
    port,
    monitorUrl,
    token,
    directory,
    pid: () => server.pid,
    kill: async () => {
      signal('SIGKILL');
      await server.exited;
    },
    stop: () => server.stop(5_000),
    start: async () => {
      server = await launch(port, monitorPort);
    },
    pause: () => standStill(server.pid),
    resume: () => void signal('SIGCONT'),
    connect: async (name, otherPort) => {
      const servers = [otherPort === undefined ? url : `nats://127.0.0.1:${otherPort}`];
      const nats = await connectNats({ servers, auth: { kind: 'token', token }, name });
      connections.push(nats);
      return nats;
    },
    close: async () => {
      await Promise.all(connections.map((nats) => nats.close()));
      await server.stop(0);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
