/**
 * A farm of real processes: a private nats-server that fsyncs before it acknowledges, a coordinator,
 * agents. Everything lies in one folder, which goes with it.
 */
import type { ChildProcess } from 'node:child_process';
import { setMaxListeners } from 'node:events';
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
import { PLAINTEXT, type Trust } from '../../kit/trust.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import {
  JobState,
  type Job,
  type SubmitJobRequest,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { ending } from './open-ends.ts';
import {
  cpuSeconds,
  endProcess,
  endProcessesIn,
  exitOf,
  spawnRole,
  type RoleOptions,
} from './processes.ts';

export interface BenchOptions extends RoleOptions {
  /** Folder with .furrow-tools. */
  readonly packageRoot: string;
}

/** What stands for as long as the farm does, whoever is killed. */
interface Ground {
  readonly home: FurrowHome;
  readonly token: string;
  readonly nats: NatsServer;
  readonly removeFolder: () => Promise<void>;
}

const POLL_MS = 20;
const READY_LIMIT_MS = 60_000;

export class BenchFarm {
  readonly close = ending(() => this.#end());
  readonly #options: BenchOptions;
  readonly #ground: Ground;
  readonly #agents = new Map<string, ChildProcess>();
  #coordinator: ChildProcess;
  #farm: FarmFile;
  #client: FarmClient;

  private constructor(
    options: BenchOptions,
    ground: Ground,
    coordinator: ChildProcess,
    farm: FarmFile,
  ) {
    this.#options = options;
    this.#ground = ground;
    this.#coordinator = coordinator;
    this.#farm = farm;
    this.#client = clientOf(farm, ground.token);
  }

  /** Nats-server and coordinator, without agents. `flags` are the coordinator's. */
  static async start(options: BenchOptions, flags: readonly string[] = []): Promise<BenchFarm> {
    const root = await mkdtemp(join(tmpdir(), 'furrow-bench-'));
    const removeFolder = ending(() => rm(root, { recursive: true, force: true }));
    const home = furrowHome(root);
    const token = await ensureToken(home.tokenFile);
    const nats = await startNatsServer({
      binary: await findNatsServer(options.packageRoot, process.env),
      directory: home.natsDir,
      monitorSecret: token,
      auth: { kind: 'token', token },
      own: { auth: { kind: 'token', token }, trust: PLAINTEXT },
      port: 0,
      monitorPort: 0,
      maxFileStoreBytes: undefined,
      log: createLog({ role: 'bench', level: 'silent' }),
    });
    const coordinator = spawnCoordinator(options, home, nats, flags);
    const farm = await listeningFarm(home, coordinator);
    return new BenchFarm(options, { home, token, nats, removeFolder }, coordinator, farm);
  }

  get home(): FurrowHome {
    return this.#ground.home;
  }

  get token(): string {
    return this.#ground.token;
  }

  get client(): FarmClient {
    return this.#client;
  }

  get httpUrl(): string {
    return this.#farm.http;
  }

  get trust(): Trust {
    return this.#farm.trust;
  }

  get natsUrl(): string {
    return this.#ground.nats.url;
  }

  get coordinatorPid(): number {
    return this.#coordinator.pid ?? 0;
  }

  /** CPU that all of the farm's processes used so far, with the programs that units ran. */
  cpuSeconds(): number {
    const children = [this.#coordinator, ...this.#agents.values()];
    const pids = [this.#ground.nats.pid, ...children.flatMap(({ pid }) => pid ?? [])];
    return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }

  /** Starts agents and waits until they are online. They leave at once when told. */
  async addAgents(
    names: readonly string[],
    flags: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const { address } = this.#client;
    const all = ['--drain-grace-ms', '0', ...flags];
    for (const name of names) {
      const at = ['--home', this.home.root, '--name', name, '--farm', address];
      const argv = ['agent', ...at, '--allow-commands', 'all', '--sandbox', 'off', ...all];
      const env = { ...process.env, ...environment };
      const child = spawnRole(this.#options, argv, env, this.#logPath(name));
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
    this.#coordinator = spawnCoordinator(this.#options, this.home, this.#ground.nats, flags);
    this.#farm = await listeningFarm(this.home, this.#coordinator);
    const tookMs = performance.now() - startMs;
    this.#client = clientOf(this.#farm, this.token);
    return tookMs;
  }

  submit(name: string, steps: readonly Step[]): Promise<Job> {
    return this.submitWork(name, { $case: 'steps', value: { steps } });
  }

  async submitWork(name: string, work: NonNullable<SubmitJobRequest['work']>): Promise<Job> {
    const { jobs } = this.#client;
    const { job } = await this.#client.call(jobs.submitJob.bind(jobs), {
      clientId: name,
      name,
      priority: 0,
      work,
    });
    if (job === undefined) throw new Error('a submit is answered with its job');
    return job;
  }

  /** Watches the job until the client was told of its success. */
  async untilSucceeded(jobId: string): Promise<Job> {
    const { jobs } = this.#client;
    const request = { jobId, cursor: '', withoutAttempts: true };
    let ended: Job | undefined;
    // To the stream's end: see WatchJob.
    for await (const { event } of this.#client.stream(jobs.watchJob.bind(jobs), request)) {
      if (event?.$case === 'job' && event.value.endedAtMs > 0) ended = event.value;
    }
    if (ended?.state === JobState.JOB_STATE_SUCCEEDED) return ended;
    throw new Error(`the watch ended before the job, or the job otherwise: ${ended?.reason}`);
  }

  async #end(): Promise<void> {
    this.#client.close();
    for (const child of [...this.#agents.values(), this.#coordinator]) await endProcess(child);
    await this.#ground.nats.stop(5_000);
    await endProcessesIn(this.home.root);
    await this.#ground.removeFolder();
  }
}

function clientOf(farm: FarmFile, token: string): FarmClient {
  const { signal } = new AbortController();
  // One for each call under way.
  setMaxListeners(0, signal);
  return new FarmClient({ address: farm.grpc, trust: farm.trust, token }, signal);
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
