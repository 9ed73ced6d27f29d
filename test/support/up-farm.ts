/** A real farm, as a user starts it: `furrow up` on free ports in a folder of its own, and its CLI. */
import type { Trust } from '../../kit/trust.ts';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text as readAll } from 'node:stream/consumers';

const CLI = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const CLI_TIMEOUT_MS = 60_000;

export interface UpFarmOptions {
  /** Default 2. */
  readonly agents?: number;
  /** On top of the test's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface CliRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly stdin?: string;
  /** Replaces the one that finds the farm. */
  readonly environment?: NodeJS.ProcessEnv;
}

export interface UpFarm {
  readonly home: string;
  /** HOST:PORT. */
  readonly grpc: string;
  readonly http: string;
  readonly trust: Trust;
  readonly token: string;
  /** Of `furrow up` itself. */
  readonly pid: number;
  /** What CLI and services of this machine are started with. */
  readonly environment: NodeJS.ProcessEnv;
  cli(args: readonly string[], options?: CliOptions): Promise<CliRun>;
  /** Ends the farm and removes its state. */
  close(): Promise<void>;
}

export async function startUpFarm(options: UpFarmOptions = {}): Promise<UpFarm> {
  const home = await mkdtemp(join(tmpdir(), 'furrow-farm-'));
  // No Blender: nothing takes as long to prove.
  const own = { FURROW_HOME: home, FURROW_AGENT_TOOLS: 'blender=false' };
  const environment = { ...process.env, ...own, ...options.environment };
  const ports = ['--grpc-port', '0', '--http-port', '0', '--nats-port', '0'];
  const child = spawn(
    process.execPath,
    [CLI, '--json', 'up', '--agents', String(options.agents ?? 2), ...ports],
    { env: environment, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await rm(home, { recursive: true, force: true });
  };
  try {
    const { grpc, http, trust } = await firstLine(child);
    const token = (await readFile(join(home, 'token'), 'utf8')).trim();
    return {
      home,
      grpc,
      http,
      trust,
      token,
      pid: child.pid ?? 0,
      environment,
      cli: (args, over = {}) => runCli(args, { environment, ...over }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function firstLine(child: ChildProcess): Promise<Pick<UpFarm, 'grpc' | 'http' | 'trust'>> {
  for await (const line of createInterface({ input: child.stdout! })) {
    return JSON.parse(line) as Pick<UpFarm, 'grpc' | 'http' | 'trust'>;
  }
  throw new Error('furrow up ended without a word');
}

export async function runCli(args: readonly string[], options: CliOptions): Promise<CliRun> {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: options.cwd,
    env: options.environment,
    timeout: CLI_TIMEOUT_MS,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  child.stdin.end(options.stdin ?? '');
  const [stdout, stderr] = await Promise.all([readAll(child.stdout), readAll(child.stderr)]);
  const [exitCode] = (await exited) as [number | null];
  return { exitCode, stdout, stderr };
}
