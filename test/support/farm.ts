/**
 * A real farm for one test: nats-server, coordinator and agents as processes of their own, from dist/,
 * on free ports, with all state in one temporary folder. Each can be killed, stopped and started again
 * on the same ports and state. Ends with its test; the folder of a failed test stays, and is named.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { blobTarget } from '../../cli/blobs.ts';
import { FarmClient } from '../../cli/client.ts';
import { type FurrowHome, furrowHome, readFarmFile } from '../../kit/furrow-home.ts';
import type { HttpTarget } from '../../kit/http-request.ts';
import type { Trust } from '../../kit/trust.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { startTestNats, type TestNats } from './nats-server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
/** For a machine that does much else; what is waited for is there in a fraction of it. */
const PATIENCE_MS = 60_000;
const POLL_MS = 25;

/** Tests' programs leave marks and wait at gates outside of their folders. */
const ANY_PROGRAM = { FURROW_AGENT_ALLOW_COMMANDS: 'all', FURROW_AGENT_SANDBOX: 'off' };
/** By what agents find: what fails instead. */
const FAILING_TOOLS = { none: ['ffmpeg', 'ffprobe', 'blender'], ffmpeg: ['blender'], all: [] };

/** Flags of each agent, by its name. */
export type AgentFlags = Readonly<Record<string, readonly string[]>>;

export interface TestFarmOptions {
  readonly agents?: AgentFlags;
  readonly leaseTtlMs?: number;
  /**
   * Nothing expires so long after a coordinator leads: agents on a busy machine take longer than a lease of tests
   * lives to come back. Default 0.
   */
  readonly takeoverGraceMs?: number;
  /** What agents find of the programs that recipes use: proving them is most of an agent's start. Default none. */
  readonly mediaTools?: 'none' | 'ffmpeg' | 'all';
  /** Settings of the coordinator beyond the usual ones. */
  readonly coordinatorEnvironment?: NodeJS.ProcessEnv;
  /** Settings of the agents beyond the usual ones. */
  readonly agentEnvironment?: NodeJS.ProcessEnv;
  /** Default: a server of its own. Ends with the farm. */
  readonly nats?: TestNats;
  /** Where the first coordinator, and all who ask it, find NATS. Default as `nats` says. */
  readonly natsUrl?: string;
  /** Copies of the journal. Default 1. */
  readonly replicas?: number;
  /** With a second coordinator, which has a state folder of its own and stands by. */
  readonly hasStandby?: boolean;
}

export interface TestFarm {
  readonly home: string;
  /** For what a test leaves outside of the farm's own folders: gates, marks, films. */
  readonly workDir: string;
  readonly leaseTtlMs: number;
  readonly grpcPort: number;
  readonly nats: TestNats;
  readonly coordinator: Role;
  readonly standby: Role | undefined;
  /** HOST:PORT of the coordinator, and of the standby. */
  readonly addresses: readonly string[];
  /** Base address of the HTTP server of each. */
  readonly httpUrls: readonly string[];
  /** By what its coordinators are known. */
  readonly trust: Trust;
  readonly client: FarmClient;
  /** Starts agents; settles when they are online. */
  addAgents(flags: AgentFlags): Promise<void>;
  agent(name: string): Role;
  /** The id that the agent has given itself. */
  agentId(name: string): string;
  /** Settles when the coordinator answers. */
  listening(): Promise<void>;
  /** Settles when these agents, or all, are online. */
  agentsOnline(...names: readonly string[]): Promise<void>;
  /** Directories of attempts on the agent, whose names begin with job, step, unit and attempt. */
  attemptDirs(name: string): readonly string[];
  blobTarget(): Promise<HttpTarget>;
  /** Runs the CLI against this farm. */
  furrow(...args: readonly string[]): Promise<CliResult>;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One process of the farm. */
export class Role {
  readonly #name: string;
  readonly #argv: () => readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #logPath: string;
  #child: ChildProcess | undefined;
  #exited: Promise<number | null> = Promise.resolve(null);

  constructor(
    name: string,
    logPath: string,
    argv: () => readonly string[],
    environment: NodeJS.ProcessEnv,
  ) {
    this.#name = name;
    this.#argv = argv;
    this.#environment = environment;
    this.#logPath = logPath;
  }

  /** Does not wait until it is ready. */
  start(): void {
    const log = openSync(this.#logPath, 'a');
    // Its standard input ends with this process: nothing outlives a test run that is killed.
    const child = spawn(process.execPath, [MAIN, ...this.#argv(), '--exit-with-parent'], {
      stdio: ['pipe', log, log],
      env: this.#environment,
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#name} was not started`);
    return pid;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** SIGKILL; settles when it is gone. */
  async kill(): Promise<void> {
    if (this.isRunning) this.signal('SIGKILL');
    await this.#exited;
  }

  /** Settles with its exit code. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  async restart(): Promise<void> {
    await this.kill();
    this.start();
  }
}

interface StartedRole {
  readonly role: Role;
  /** HOST:PORT. */
  readonly grpc: string;
  readonly http: string;
  readonly trust: Trust;
}

/** Call it in a test: the farm ends with that test. */
export async function startFarm(options: TestFarmOptions = {}): Promise<TestFarm> {
  const root = await mkdtemp(join(tmpdir(), 'furrow-farm-'));
  const home = furrowHome(join(root, 'home'), {});
  const workDir = join(root, 'work');
  for (const directory of [home.root, workDir, join(root, 'log')]) {
    mkdirSync(directory, { mode: 0o700 });
  }
  const nats = options.nats ?? (await startTestNats());
  const started: (() => Promise<void>)[] = [() => nats.close()];
  endWithTest(root, started);
  const environment = { ...withoutFurrow(process.env), FURROW_HOME: home.root };
  const leaseTtlMs = options.leaseTtlMs ?? 3_000;
  const argv = ['coordinator', '--takeover-grace-ms', String(options.takeoverGraceMs ?? 0)];
  argv.push('--lease-ttl-ms', String(leaseTtlMs), '--heartbeat-ms', '500');
  argv.push('--replicas', String(options.replicas ?? 1));
  const startCoordinator = async (
    name: string,
    itsHome: FurrowHome,
    natsUrl: string,
  ): Promise<StartedRole> => {
    mkdirSync(itsHome.root, { recursive: true, mode: 0o700 });
    writeFileSync(itsHome.tokenFile, nats.token, { mode: 0o600 });
    const logPath = join(root, 'log', `${name}.log`);
    let ports: readonly string[] = ['--grpc-port', '0', '--http-port', '0'];
    const itsArgv = [...argv, '--nats', natsUrl];
    const role = new Role(name, logPath, () => [...itsArgv, ...ports], {
      ...environment,
      FURROW_HOME: itsHome.root,
      FURROW_NATS_MONITOR: nats.monitorUrl,
      ...options.coordinatorEnvironment,
    });
    started.push(() => role.kill());
    role.start();
    const { grpc, http, trust } = await until(`the ${name} listens`, async () => {
      if (!role.isRunning) throw new Error(tailOf(logPath));
      return readFarmFile(itsHome.farmFile);
    });
    // Agents and clients come back to where it was.
    ports = ['--grpc-port', portOf(grpc), '--http-port', new URL(http).port];
    return { role, grpc, http, trust };
  };
  const first = await startCoordinator('coordinator', home, options.natsUrl ?? nats.url);
  const { role: coordinator, grpc } = first;
  // All coordinators of a farm have its keys.
  const copyKeys = (): void =>
    cpSync(home.keysDir, furrowHome(join(root, 'standby'), {}).keysDir, { recursive: true });
  if (options.hasStandby) copyKeys();
  const second = options.hasStandby
    ? await startCoordinator('standby', furrowHome(join(root, 'standby'), {}), nats.url)
    : undefined;
  const addresses = second === undefined ? [grpc] : [grpc, second.grpc];
  const address = addresses.join(',');
  const { signal } = new AbortController();
  // Each call that is under way listens, and tests make many at once.
  setMaxListeners(0, signal);
  const { trust } = first;
  const client = new FarmClient({ address, trust, token: nats.token }, signal);
  started.push(async () => client.close());
  const agents = new Map<string, Role>();
  const agentsPath = pathWithout(FAILING_TOOLS[options.mediaTools ?? 'none'], join(root, 'bin'));
  const farm: TestFarm = {
    home: home.root,
    workDir,
    leaseTtlMs,
    grpcPort: Number(portOf(grpc)),
    nats,
    coordinator,
    standby: second?.role,
    addresses,
    httpUrls: second === undefined ? [first.http] : [first.http, second.http],
    trust,
    client,
    addAgents: async (flagsOf) => {
      for (const [name, flags] of Object.entries(flagsOf)) {
        const argv = ['agent', '--name', name, '--farm', address, ...flags];
        const logPath = join(root, 'log', `${name}.log`);
        const agent = new Role(name, logPath, () => argv, {
          ...environment,
          ...ANY_PROGRAM,
          PATH: agentsPath,
          ...options.agentEnvironment,
        });
        agents.set(name, agent);
        started.push(() => agent.kill());
        agent.start();
      }
      await untilOnline(farm, Object.keys(flagsOf));
    },
    agent: (name) => found(agents.get(name), name),
    agentId: (name) => readFileSync(join(home.agentDir(name), 'agent-id'), 'utf8').trim(),
    listening: () => untilOnline(farm, []),
    agentsOnline: (...names) => untilOnline(farm, names.length > 0 ? names : [...agents.keys()]),
    attemptDirs: (name) => attemptDirs(home.agentDir(name)),
    blobTarget: () => blobTarget(client),
    furrow: (...args) => runCli(args, environment),
  };
  await farm.addAgents(options.agents ?? {});
  return farm;
}

/** A PATH on which these programs fail. */
function pathWithout(programs: readonly string[], folder: string): string {
  mkdirSync(folder);
  for (const program of programs) {
    writeFileSync(join(folder, program), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  }
  return `${folder}${delimiter}${process.env['PATH'] ?? ''}`;
}

/** Polls until there is an answer other than undefined or false. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain: ${what}`);
    await sleep(POLL_MS);
  }
}

export function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what}`);
  return value;
}

/** Ends what was started, the last first, also when the test could not start all of it. */
function endWithTest(root: string, started: readonly (() => Promise<void>)[]): void {
  onTestFinished(async ({ task }) => {
    for (const end of started.toReversed()) await end();
    if (task.result?.state === 'fail') {
      process.stderr.write(`${task.name}: logs and state of its farm are in ${root}\n`);
    } else await rm(root, { recursive: true, force: true, maxRetries: 3 });
  });
}

async function untilOnline(farm: TestFarm, names: readonly string[]): Promise<void> {
  await until(`the coordinator with ${names.join(', ')}`, async () => {
    const { client } = farm;
    const listing = await client
      .call(client.farm.listAgents.bind(client.farm), {})
      .catch(() => undefined);
    if (listing === undefined) return false;
    return names.every((name) =>
      listing.agents.some(
        (agent) => agent.name === name && agent.state === AgentState.AGENT_STATE_ONLINE,
      ),
    );
  });
}

function attemptDirs(agentDir: string): readonly string[] {
  const farms = listDir(join(agentDir, 'farms'));
  return farms.flatMap((farm) => listDir(join(agentDir, 'farms', farm, 'attempts')));
}

function listDir(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

async function runCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

function withoutFurrow(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith('FURROW_')),
  );
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

function tailOf(logPath: string): string {
  const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n');
  return `${dirname(logPath)}: ${lines.slice(-5).join('\n')}`;
}
