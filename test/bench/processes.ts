/**
 * Processes of a benchmark: started in groups of their own, so that the terminal's Ctrl-C reaches them
 * through us alone, and none of them outlives us. What they cost is read from /proc.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killOnExit } from '../../cli/up/kill-on-exit.ts';

export interface RoleOptions {
  /** The build to measure: a folder as `npm run build` makes it. */
  readonly dist: string;
  /** Where CPU profiles go; undefined for none. */
  readonly profileFolder: string | undefined;
}

const END_GRACE_MS = 5_000;

/** A coordinator or an agent, from its command line. */
export function spawnRole(
  { dist, profileFolder }: RoleOptions,
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
    const child = spawn(process.execPath, [...profile, main, ...argv, '--exit-with-parent'], {
      // The end of its input is the child's order to leave: also when this process is killed.
      stdio: ['pipe', log, log],
      env: environment,
      detached: true,
    });
    killOnExit(child);
    return child;
  } finally {
    closeSync(log);
  }
}

function profileName(argv: readonly string[]): string {
  const name = argv[0] === 'agent' ? argv[argv.indexOf('--name') + 1] : argv[0];
  return `${name}.${Date.now()}.cpuprofile`;
}

/** TERM, grace, KILL. */
export async function endProcess(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), END_GRACE_MS);
  await exitOf(child);
  clearTimeout(kill);
}

export async function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** What units left behind whose agent was killed: processes that work under the folder. */
export async function endProcessesIn(folder: string): Promise<void> {
  for (let left = processesIn(folder); left.length > 0; left = processesIn(folder)) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await sleep(10);
  }
}

function processesIn(folder: string): number[] {
  return pids().filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${folder}/`) && stateOf(pid) !== 'Z';
    } catch {
      return false;
    }
  });
}

function pids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

function stateOf(pid: number): string {
  return statOf(pid)[0] ?? '';
}

/** Seconds of CPU that a process used, with those of its children that have ended. */
export function cpuSeconds(pid: number | 'self'): number {
  const ticks = statOf(pid).slice(11, 15).map(Number);
  return ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_S;
}

/** The fields behind the name, which may hold spaces: `state` first. */
function statOf(pid: number | 'self'): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Bytes in main memory. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib ?? 0) * 1024;
}

const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
