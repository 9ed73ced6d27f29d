/** Three nats-servers on loopback as one cluster: what is stored with three copies outlives any one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats, type NatsConnection } from '../../kit/nats-connection.ts';
import { found, until } from './farm.ts';
import { natsServerOf, type NatsVersion, type TestNats } from './nats-server.ts';
import { standStill } from './processes.ts';

export interface TestNatsCluster extends TestNats {
  /** Server names, as the streams' replicas are named. */
  readonly names: readonly string[];
  /** SIGKILL of one. */
  killNode(name: string): Promise<void>;
  startNode(name: string): void;
}

const NAMES = ['n1', 'n2', 'n3'] as const;
/** Several times what an election takes on a busy machine. */
const STORES_AFTER_MS = 20_000;

/** `url` lists all servers, with commas between. The rest of TestNats is done to all of them. */
export async function startTestCluster(version: NatsVersion = 'newest'): Promise<TestNatsCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'furrow-cluster-'));
  const token = 'test-token-of-forty-three-characters-000000';
  const { path } = await natsServerOf(version);
  const ports = await freePorts(9);
  const portsOf = (index: number): readonly number[] => ports.slice(index * 3, index * 3 + 3);
  const routes = NAMES.map((_, index) => `nats-route://127.0.0.1:${portsOf(index)[2]}`);
  const nodes = new Map<string, Node>(
    NAMES.map((name, index) => {
      const [port = 0, monitorPort = 0, routePort = 0] = portsOf(index);
      const folder = join(directory, name);
      mkdirSync(folder);
      writeFileSync(
        join(folder, 'nats.conf'),
        `server_name: ${name}
listen: "127.0.0.1:${port}"
http: "127.0.0.1:${monitorPort}"
max_payload: 8388608
jetstream { store_dir: "${folder}/store", sync_interval: always }
authorization { token: "${token}" }
cluster { name: test, listen: "127.0.0.1:${routePort}", no_advertise: true, routes: ${JSON.stringify(routes)} }
`,
      );
      return [name, new Node(path, folder, port, monitorPort)] as const;
    }),
  );
  const node = (name: string): Node => found(nodes.get(name), `node ${name}`);
  const all = [...nodes.values()];
  for (const each of all) each.start();
  const urls = all.map(({ port }) => `nats://127.0.0.1:${port}`);
  const connections: NatsConnection[] = [];
  const connect = async (name: string, port?: number): Promise<NatsConnection> => {
    const servers = port === undefined ? urls : [`nats://127.0.0.1:${port}`];
    const nats = await connectNats({ servers, auth: { kind: 'token', token }, name });
    connections.push(nats);
    return nats;
  };
  const client = await connect('test');
  const endAll = async (): Promise<void> =>
    void (await Promise.all(all.map((each) => each.end('SIGKILL'))));
  await untilStores(client).catch(async () => {
    // Seen with 2.10: those that start at the same moment end one another's routes as duplicates, and
    // never elect.
    await endAll();
    for (const each of all) each.start();
    await untilStores(client).catch(async (error: unknown) => {
      await endAll();
      throw error;
    });
  });
  const first = node('n1');
  return {
    names: NAMES,
    url: urls.join(','),
    port: first.port,
    monitorUrl: all.map(({ monitorPort }) => `http://127.0.0.1:${monitorPort}`).join(','),
    token,
    directory,
    pid: () => first.pid,
    kill: endAll,
    stop: async () => void (await Promise.all(all.map((each) => each.end('SIGTERM')))),
    start: async () => all.forEach((each) => each.start()),
    pause: async () => void (await Promise.all(all.map(({ pid }) => standStill(pid)))),
    resume: () => all.forEach((each) => process.kill(each.pid, 'SIGCONT')),
    connect,
    killNode: (name) => node(name).end('SIGKILL'),
    startNode: (name) => node(name).start(),
    close: async () => {
      await Promise.all(connections.map((nats) => nats.close()));
      await endAll();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

class Node {
  readonly port: number;
  readonly monitorPort: number;
  readonly #binary: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  constructor(binary: string, folder: string, port: number, monitorPort: number) {
    this.#binary = binary;
    this.#folder = folder;
    this.port = port;
    this.monitorPort = monitorPort;
  }

  get pid(): number {
    return found(this.#child?.pid, 'server');
  }

  start(): void {
    const log = openSync(join(this.#folder, 'nats.log'), 'a');
    const argv = ['-c', join(this.#folder, 'nats.conf')];
    this.#child = spawn(this.#binary, argv, { stdio: ['ignore', log, log] });
    closeSync(log);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await exited;
  }
}

/** The servers have found one another and store with three copies. */
async function untilStores(nats: NatsConnection): Promise<void> {
  const stores = async (): Promise<boolean> => {
    try {
      const manager = await nats.jetstreamManager({ timeout: 1_000 });
      await manager.streams.add({ name: 'PROBE', subjects: ['probe'], num_replicas: 3 });
      return await manager.streams.delete('PROBE');
    } catch {
      return false;
    }
  };
  await until('the cluster stores', stores, STORES_AFTER_MS);
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => {
            const address = server.address();
            resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
