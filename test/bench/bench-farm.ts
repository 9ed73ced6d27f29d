/**
 * A farm of real processes: a private nats-server that fsyncs before it acknowledges, a coordinator,
 * agents. Everything lies in one folder and ends with this process.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FarmClient } from '../../cli/client.ts';
import { findNatsServer } from '../../cli/up/nats-binary.ts';
import { startNatsServer, type NatsServer } from '../../cli/up/nats-server.ts';
import { furrowHome, readFarmFile, type FarmFile, type FurrowHome } from '../../kit/furrow-home.ts';
import { createLog } from '../../kit/log.ts';
import { ensureToken } from '../../kit/token-file.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { JobState, type Job } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';

export interface BenchOptions {
  /** Folder with .furrow-tools. */
  readonly packageRoot: string;
  /** The build to measure: a folder as `npm run build` makes it. */
  readonly dist: string;
  /** Where CPU profiles of coordinator and agents go; undefined for none. */
  readonly profileFolder: string | undefined;
}

const POLL_MS = 20;
const READY_LIMIT_MS = 60_000;

export class BenchFarm {
  readonly home: FurrowHome;
  readonly token: string;
  readonly #options: BenchOptions;
  readonly #nats: NatsServer;
  readonly #agents = new Map<string, ChildProcess>();
  #coordinator: ChildProcess;
  #farm: FarmFile;
  #client: FarmClient;

  private constructor(
    options: BenchOptions,
    home: FurrowHome,
    token: string,
    nats: NatsServer,
    coordinator: ChildProcess,
    farm: FarmFile,
  ) {
    this.#options = options;
    this.home = home;
    this.token = token;
    this.#nats = nats;
    this.#coordinator = coordinator;
    this.#farm = farm;
    this.#client = clientOf(farm, token);
  }

  /** Nats-server and coordinator, without agents. `flags` are the coordinator's. */
  static async start(options: BenchOptions, flags: readonly string[] = []): Promise<BenchFarm> {
    const home = furrowHome(await mkdtemp(join(tmpdir(), 'furrow-bench-')));
    const token = await ensureToken(home.tokenFile);
    const nats = await startNatsServer({
      binary: await findNatsServer(options.packageRoot, process.env),
      directory: home.natsDir,
      token,
      port: 0,
      monitorPort: 0,
      maxFileStoreBytes: undefined,
      log: createLog({ role: 'bench', level: 'silent' }),
    });
    const coordinator = spawnCoordinator(options, home, nats, flags);
    const farm = await listeningFarm(home, coordinator);
    return new BenchFarm(options, home, token, nats, coordinator, farm);
  }

  get client(): FarmClient {
    return this.#client;
  }

  get httpUrl(): string {
    return this.#farm.http;
  }

  /** Starts agents and waits until they are online. */
  async addAgents(names: readonly string[], flags: readonly string[]): Promise<void> {
    const { address } = this.#client;
    for (const name of names) {
      const argv = ['agent', '--home', this.home.root, '--name', name, '--farm', address, ...flags];
      const child = spawnRole(this.#options, argv, process.env, this.#logPath(name));
      this.#agents.set(name, child);
    }
    await waitFor('agents to be online', async () => {
      const { farm } = this.#client;
      const { agents } = await this.#client.call(farm.listAgents.bind(farm), {});
      const online = agents.filter(({ state }) => state === AgentState.AGENT_STATE_ONLINE);
      return names.every((name) => online.some((agent) => agent.name === name));
    });
  }

  /** Lines of an agent's log that carry this message. */
  async logOf(
    name: string,
    message: string,
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const text = await readFile(this.#logPath(name), 'utf8');
    const records = text.split('\n').filter((line) => line.startsWith('{'));
    return records
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      .filter(({ msg }) => msg === message);
  }

  #logPath(role: string): string {
    return join(this.home.root, `${role}.log`);
  }

  /** kill -9. */
  killAgent(name: string): void {
    this.#agents.get(name)?.kill('SIGKILL');
  }

  /** kill -9 of the coordinator, then a new one. Answers the milliseconds from its start to ready. */
  async restartCoordinator(flags: readonly string[] = []): Promise<number> {
    this.#client.close();
    this.#coordinator.kill('SIGKILL');
    await exitOf(this.#coordinator);
    const startMs = performance.now();
    this.#coordinator = spawnCoordinator(this.#options, this.home, this.#nats, flags);
    this.#farm = await listeningFarm(this.home, this.#coordinator);
    const tookMs = performance.now() - startMs;
    this.#client = clientOf(this.#farm, this.token);
    return tookMs;
  }

  async submit(name: string, steps: readonly Step[]): Promise<Job> {
    const { jobs } = this.#client;
    const { job } = await this.#client.call(jobs.submitJob.bind(jobs), {
      clientId: name,
      name,
      priority: 0,
      work: { $case: 'steps', value: { steps } },
    });
    if (job === undefined) throw new Error('a submit is answered with its job');
    return job;
  }

  /** Watches the job until the client was told of its success. */
  async untilSucceeded(jobId: string): Promise<void> {
    const { jobs } = this.#client;
    const request = { jobId, cursor: '' };
    for await (const { event } of this.#client.stream(jobs.watchJob.bind(jobs), request)) {
      if (event?.$case !== 'job' || event.value.endedAtMs === 0) continue;
      if (event.value.state === JobState.JOB_STATE_SUCCEEDED) return;
      throw new Error(`the job ended otherwise: ${event.value.reason}`);
    }
    throw new Error('the watch ended before the job');
  }

  async close(): Promise<void> {
    this.#client.close();
    for (const child of [...this.#agents.values(), this.#coordinator]) {
      child.kill('SIGTERM');
      await exitOf(child);
    }
    await this.#nats.stop(5_000);
    await rm(this.home.root, { recursive: true, force: true });
  }
}

function clientOf(farm: FarmFile, token: string): FarmClient {
  const { signal } = new AbortController();
  // One for each call under way.
  setMaxListeners(0, signal);
  return new FarmClient({ address: farm.grpc, token }, signal);
}

function spawnCoordinator(
  options: BenchOptions,
  home: FurrowHome,
  nats: NatsServer,
  flags: readonly string[],
): ChildProcess {
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const argv = ['coordinator', '--home', home.root, '--nats', nats.url, ...ports, ...flags];
  const environment = { ...process.env, FURROW_NATS_MONITOR: nats.monitorUrl };
  return spawnRole(options, argv, environment, join(home.root, 'coordinator.log'));
}

function spawnRole(
  { dist, profileFolder }: BenchOptions,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  logPath: string,
): ChildProcess {
  const profile =
    profileFolder === undefined
      ? []
      : ['--cpu-prof', '--cpu-prof-dir', profileFolder, '--cpu-prof-name', profileName(argv)];
  const log = openSync(logPath, 'a', 0o600);
  try {
    const main = join(dist, 'cli', 'main.js');
    return spawn(process.execPath, [...profile, main, ...argv, '--exit-with-parent'], {
      // Its end is the child's order to leave: also when this process is killed.
      stdio: ['pipe', log, log],
      env: environment,
    });
  } finally {
    closeSync(log);
  }
}

function profileName(argv: readonly string[]): string {
  const name = argv[0] === 'agent' ? argv[argv.indexOf('--name') + 1] : argv[0];
  return `${name}.${Date.now()}.cpuprofile`;
}

async function listeningFarm(home: FurrowHome, coordinator: ChildProcess): Promise<FarmFile> {
  let found: FarmFile | undefined;
  await waitFor('the coordinator to listen', async () => {
    if (coordinator.exitCode !== null) throw new Error('the coordinator ended: see its log');
    const farm = await readFarmFile(home.farmFile);
    if (farm?.pid !== coordinator.pid) return false;
    found = farm;
    return true;
  });
  if (found === undefined) throw new Error('the coordinator listens nowhere');
  return found;
}

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + READY_LIMIT_MS;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await sleep(POLL_MS);
  }
}

async function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** A step of no-op units that demand nothing. */
export function noopStep(count: number): Step {
  return {
    name: 'work',
    dependsOn: [],
    parameters: { kind: { $case: 'count', value: count } },
    task: { kind: { $case: 'noop', value: {} } },
    inputs: [],
    outputs: [],
    demand: undefined,
    limits: undefined,
  };
}

/** A step of units that run a program. */
export function commandStep(argv: readonly string[], count: number): Step {
  const task = { kind: { $case: 'command', value: { argv, environment: {} } } } as const;
  return { ...noopStep(count), task };
}
