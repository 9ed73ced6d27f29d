/**
 * The farm that is tortured: real processes from dist/, all state in one folder, and a front between
 * any two of them. Coordinators and agents know one another, NATS and the bucket by their fronts only.
 */
import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { startTestS3, type TestS3 } from '../support/s3-server.ts';
import { Network } from './network.ts';
import { Party, type PartyKind } from './party.ts';

export interface StageOptions {
  readonly root: string;
  /** Folder with dist/. */
  readonly packageRoot: string;
  readonly natsServer: string;
  /** 1, or 3 for a cluster. */
  readonly natsNodes: 1 | 3;
  /** With 2 there is a standby, and blobs are in a bucket. */
  readonly coordinators: 1 | 2;
  readonly agents: number;
  /** Every process carries it in its environment, whatever becomes of its parents. */
  readonly mark: string;
}

export const TOKEN = 'torture-token-of-forty-three-characters-000';
export const MARK = 'FURROW_TORTURE_MARK';
export const LEASE_TTL_MS = 3_000;
const HEARTBEAT_MS = 500;
/** Agents are back by then: what they run is adopted. */
const TAKEOVER_GRACE_MS = 8_000;
/** Small, so that coordinators start from snapshots and the journal is cut while it is tortured. */
const SNAPSHOT_COMMITS = 40;
const FIRST_PORT = 12_000;
const LAST_PORT = 32_000;
/** Tortures that run at once see there which ports are another's. */
const RESERVED_AT = '127.0.0.250';
/** Several times what an election takes on a busy machine. */
const STORES_LIMIT_MS = 40_000;
const STORES_PAUSE_MS = 200;

export class Stage {
  readonly options: StageOptions;
  readonly network: Network;
  readonly parties: Party[];
  /** Past all fronts: for the witness. */
  readonly natsUrls: readonly string[];
  /** HOST:PORT of each coordinator, past all fronts, in order. */
  readonly grpcDirect: readonly string[];
  /** As clients and agents know it: of each coordinator, by way of its front. */
  readonly farm: string;
  readonly #s3: TestS3 | undefined;

  private constructor(
    options: StageOptions,
    network: Network,
    parties: Party[],
    addresses: Pick<Stage, 'natsUrls' | 'grpcDirect' | 'farm'>,
    s3: TestS3 | undefined,
  ) {
    this.options = options;
    this.network = network;
    this.parties = parties;
    this.natsUrls = addresses.natsUrls;
    this.grpcDirect = addresses.grpcDirect;
    this.farm = addresses.farm;
    this.#s3 = s3;
  }

  /** Opens the fronts. Nothing is started yet. */
  static async set(options: StageOptions): Promise<Stage> {
    for (const folder of ['log', 'nats', 'home', 'films', 'work']) {
      mkdirSync(join(options.root, folder), { recursive: true, mode: 0o700 });
    }
    const parties: Party[] = [];
    const network = new Network(() => pidsOf(parties));
    const cluster = await natsOf(options, network);
    const s3 = options.coordinators === 2 ? await startTestS3() : undefined;
    const store = s3 === undefined ? {} : await bucketOf(s3, network);
    const coordinators = await coordinatorsOf(options, network, cluster, store);
    const farm = coordinators.map(({ front }) => front).join(',');
    const agents = Array.from({ length: options.agents }, (_, index) =>
      agentOf(options, `a${index + 1}`, farm),
    );
    parties.push(...cluster.parties, ...coordinators.map(({ party }) => party), ...agents);
    const addresses = {
      natsUrls: cluster.direct,
      grpcDirect: coordinators.map(({ direct }) => direct),
      farm,
    };
    return new Stage(options, network, parties, addresses, s3);
  }

  get nats(): readonly Party[] {
    return this.#ofKind('nats');
  }

  get coordinators(): readonly Party[] {
    return this.#ofKind('coordinator');
  }

  get agents(): readonly Party[] {
    return this.#ofKind('agent');
  }

  /** Settles when all have been started; NATS stores by then. */
  async start(): Promise<void> {
    const startStore = async (): Promise<void> => {
      for (const party of this.nats) party.start();
      await untilStores(this.natsUrls, this.nats.length);
    };
    await startStore().catch(async () => {
      // Seen with 2.10: those that start at the same moment may never elect.
      await Promise.all(this.nats.map((party) => party.kill()));
      await startStore();
    });
    for (const party of [...this.coordinators, ...this.agents]) party.start();
  }

  /** A process of a client's, known to the network. */
  addClient(party: Party): void {
    this.parties.push(party);
  }

  async close(): Promise<void> {
    await Promise.all(this.parties.map((party) => party.kill()));
    this.network.close();
    await this.#s3?.close();
  }

  #ofKind(kind: PartyKind): readonly Party[] {
    return this.parties.filter((party) => party.kind === kind);
  }
}

/** Of all that runs now, by name. */
function pidsOf(parties: readonly Party[]): ReadonlyMap<string, number> {
  const running = parties.flatMap(({ name, pid }) =>
    pid === undefined ? [] : [[name, pid] as const],
  );
  return new Map(running);
}

/** The servers have found one another, and store with as many copies as there are servers. */
async function untilStores(servers: readonly string[], replicas: number): Promise<void> {
  const deadline = performance.now() + STORES_LIMIT_MS;
  const options = { token: TOKEN, waitOnFirstConnect: true, maxReconnectAttempts: -1 };
  const nats = await connect({ servers: [...servers], ...options });
  try {
    for (;;) {
      try {
        const manager = await nats.jetstreamManager({ timeout: 2_000 });
        const probe = { name: 'PROBE', subjects: ['probe'], num_replicas: replicas };
        await manager.streams.add(probe);
        await manager.streams.delete('PROBE');
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await sleep(STORES_PAUSE_MS);
      }
    }
  } finally {
    await nats.close();
  }
}

interface Cluster {
  readonly parties: readonly Party[];
  readonly direct: readonly string[];
  readonly fronts: readonly string[];
  readonly monitors: readonly string[];
}

async function natsOf(options: StageOptions, network: Network): Promise<Cluster> {
  const names = Array.from({ length: options.natsNodes }, (_, index) => `n${index + 1}`);
  const ports = await freePorts(names.length * 3);
  const portsOf = (index: number): readonly number[] => ports.slice(index * 3, index * 3 + 3);
  const fronts: string[] = [];
  const routes: string[] = [];
  for (const [index, party] of names.entries()) {
    const [client = 0, , route = 0] = portsOf(index);
    fronts.push(`nats://127.0.0.1:${await network.front({ party, service: 'nats' }, client)}`);
    routes.push(`127.0.0.1:${await network.front({ party, service: 'route' }, route)}`);
  }
  const parties = names.map((name, index) => {
    const folder = join(options.root, 'nats', name);
    mkdirSync(folder);
    const [client = 0, monitor = 0, route = 0] = portsOf(index);
    // In a ring, so that one of each two calls: two that call each other drop connections for a while.
    const next = routes[(index + 1) % names.length];
    // Advertised by its front, so that the others' gossip does not lead past it.
    const cluster = `cluster { name: torture, listen: "127.0.0.1:${route}", advertise: "${routes[index]}", no_advertise: true, routes: ["nats-route://${next}"] }`;
    const lines = [
      `server_name: ${name}`,
      `listen: "127.0.0.1:${client}"`,
      `http: "127.0.0.1:${monitor}"`,
      'max_payload: 8388608',
      `jetstream { store_dir: "${folder}/store", sync_interval: always }`,
      `authorization { token: "${TOKEN}" }`,
      ...(names.length > 1 ? [cluster] : []),
    ];
    writeFileSync(join(folder, 'nats.conf'), `${lines.join('\n')}\n`);
    return new Party({
      name,
      kind: 'nats',
      program: options.natsServer,
      argv: ['-c', join(folder, 'nats.conf')],
      environment: environmentOf(options),
      logPath: join(options.root, 'log', `${name}.log`),
    });
  });
  return {
    parties,
    direct: names.map((_, index) => `nats://127.0.0.1:${portsOf(index)[0]}`),
    fronts,
    monitors: names.map((_, index) => `http://127.0.0.1:${portsOf(index)[1]}`),
  };
}

async function bucketOf(s3: TestS3, network: Network): Promise<NodeJS.ProcessEnv> {
  const port = await network.front({ party: 's3', service: 's3' }, s3.port);
  return {
    ...s3.environment,
    FURROW_BLOBS: `s3://${s3.bucket}/${s3.prefix}`,
    FURROW_S3_ENDPOINT: `http://127.0.0.1:${port}`,
  };
}

interface StagedCoordinator {
  readonly party: Party;
  readonly direct: string;
  readonly front: string;
}

/**
 * A coordinator advertises a host, with the ports on which it listens: its fronts are on the same
 * ports of a loopback address of their own.
 */
async function coordinatorsOf(
  options: StageOptions,
  network: Network,
  nats: Cluster,
  store: NodeJS.ProcessEnv,
): Promise<readonly StagedCoordinator[]> {
  const ports = await freePorts(options.coordinators * 2);
  const staged: StagedCoordinator[] = [];
  for (let index = 0; index < options.coordinators; index += 1) {
    const party = `c${index + 1}`;
    const [grpc = 0, http = 0] = ports.slice(index * 2);
    const host = `127.0.0.${index + 2}`;
    await network.front({ party, service: 'grpc' }, grpc, host, grpc);
    await network.front({ party, service: 'http' }, http, host, http);
    const home = homeOf(options, party);
    const argv = ['coordinator', '--nats', nats.fronts.join(','), '--advertise', host];
    argv.push('--grpc-port', String(grpc), '--http-port', String(http));
    argv.push('--nats-monitor', nats.monitors.join(','), '--replicas', String(options.natsNodes));
    argv.push('--lease-ttl-ms', String(LEASE_TTL_MS), '--heartbeat-ms', String(HEARTBEAT_MS));
    argv.push('--takeover-grace-ms', String(TAKEOVER_GRACE_MS));
    argv.push('--snapshot-commits', String(SNAPSHOT_COMMITS), '--log-level', 'debug');
    staged.push({
      party: roleOf(options, party, 'coordinator', argv, { FURROW_HOME: home, ...store }),
      direct: `127.0.0.1:${grpc}`,
      front: `${host}:${grpc}`,
    });
  }
  return staged;
}

function agentOf(options: StageOptions, name: string, farm: string): Party {
  const argv = ['agent', '--name', name, '--farm', farm, '--cpus', '2', '--max-units', '6'];
  // Its programs leave marks outside of their folders.
  argv.push('--allow-commands', 'all', '--sandbox', 'off');
  argv.push('--log-level', 'debug');
  return roleOf(options, name, 'agent', argv, { FURROW_HOME: homeOf(options, name) });
}

/** Each has a folder of its own, as on machines of their own, and the farm's token in it. */
function homeOf(options: StageOptions, name: string): string {
  const home = join(options.root, 'home', name);
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(join(home, 'token'), TOKEN, { mode: 0o600 });
  return home;
}

function roleOf(
  options: StageOptions,
  name: string,
  kind: 'coordinator' | 'agent',
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Party {
  const main = join(options.packageRoot, 'dist', 'cli', 'main.js');
  return new Party({
    name,
    kind,
    program: process.execPath,
    argv: [main, ...argv, '--exit-with-parent'],
    environment: { ...environmentOf(options), ...environment },
    logPath: join(options.root, 'log', `${name}.log`),
  });
}

/** Without the settings of a farm that this machine may have. */
export function environmentOf({ mark }: Pick<StageOptions, 'mark'>): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('FURROW_'));
  // The fronts between its parts look into nothing; who is believed is not what is tortured.
  return { ...Object.fromEntries(entries), [MARK]: mark, FURROW_PLAINTEXT: 'true' };
}

/**
 * Below the ports that the system gives to whoever asks for any: what is down for a while finds its
 * port free when it comes back. Nobody else who asks here gets them, though it is long until they are listened on.
 */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    // Kept until this process ends.
    const keeper = await listen(port, RESERVED_AT);
    if (keeper === undefined) continue;
    keeper.unref();
    const trial = await listen(port, '127.0.0.1');
    if (trial === undefined) continue;
    await new Promise((resolve) => trial.close(resolve));
    ports.push(port);
  }
  return ports;
}

/** Undefined where somebody else listens. */
async function listen(port: number, host: string): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, host, () => resolve(server));
  });
}
