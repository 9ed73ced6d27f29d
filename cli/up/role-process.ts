/**
 * A role of ours as a child process. It has a process group of its own, so that a Ctrl-C reaches it
 * only through us and in order; its output goes to a file, which outlives us; its standard input is a
 * pipe from us, whose end tells it to leave when we are killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { boundLog } from './bound-log.ts';
import { killOnExit } from './kill-on-exit.ts';
import type { Child, ChildExit } from './supervisor.ts';

export interface RoleProcessOptions {
  /** Role and its flags: what follows `furrow` on the line. */
  readonly argv: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Where its output goes; the one of the run before is kept as `.1`. */
  readonly logPath: string;
  /** Whether it is ready, asked until it says so. */
  readonly isReady: (pid: number) => Promise<boolean>;
}

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const EXIT_USAGE = 2;
const EXIT_REFUSED = 7;

/**
 * Settles once the role is ready. FurrowError: failed-precondition ROLE_REFUSED when it ended by
 * itself because of its settings or its state; unavailable ROLE_ENDED when it ended otherwise;
 * timed-out ROLE_NOT_READY.
 */
export async function startRole(options: RoleProcessOptions): Promise<Child> {
  const role = options.argv[0] ?? '';
  const child = spawnRole(options);
  killOnExit(child);
  const unbound = boundLog(options.logPath, systemClock);
  child.once('exit', unbound).once('error', unbound);
  const exited = new Promise<ChildExit>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', reject);
  });
  const running: Child = {
    pid: child.pid ?? 0,
    exited,
    stop: (graceMs) => endChild(child, exited, graceMs),
    kill: () => void child.kill('SIGKILL'),
  };
  let exit: ChildExit | undefined;
  const ended = exited.then(
    (how) => (exit = how),
    (error: unknown) => {
      const message = `cannot start the ${role}: ${messageOf(error)}`;
      throw new FurrowError('failed-precondition', 'ROLE_REFUSED', message, { cause: error });
    },
  );
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (await options.isReady(running.pid)) return running;
    await Promise.race([ended, sleep(POLL_MS)]);
    if (exit) throw await endedEarly(role, exit, options.logPath);
  }
  await running.stop(0);
  const message = `the ${role} is not ready after ${READY_TIMEOUT_MS / 1000} s: see ${options.logPath}`;
  throw new FurrowError('timed-out', 'ROLE_NOT_READY', message);
}

function spawnRole({ argv, environment, logPath }: RoleProcessOptions): ChildProcess {
  mkdirSync(dirname(logPath), { recursive: true, mode: 0o700 });
  try {
    renameSync(logPath, `${logPath}.1`);
  } catch {
    // The first run.
  }
  const log = openSync(logPath, 'a', 0o600);
  try {
    const main = process.argv[1] ?? '';
    return spawn(process.execPath, [...process.execArgv, main, ...argv, '--exit-with-parent'], {
      stdio: ['pipe', log, log],
      env: environment,
      detached: true,
    });
  } finally {
    closeSync(log);
  }
}

async function endedEarly(role: string, exit: ChildExit, logPath: string): Promise<FurrowError> {
  const said = await lastWords(logPath);
  const message = `the ${role} ${exitWords(exit)}${said === '' ? '' : `: ${said}`} (log: ${logPath})`;
  const refused = exit.code === EXIT_USAGE || exit.code === EXIT_REFUSED;
  return refused
    ? new FurrowError('failed-precondition', 'ROLE_REFUSED', message)
    : new FurrowError('unavailable', 'ROLE_ENDED', message);
}

/** `ended with code 1`, `was ended by SIGKILL`. */
export function exitWords({ code, signal }: ChildExit): string {
  return signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
}

/** The last line that a role wrote for people, or the message of its last log record. */
async function lastWords(logPath: string): Promise<string> {
  const text = await readFile(logPath, 'utf8').catch(() => '');
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) return line.replace(/^furrow[^:]*: /, '').slice(0, 300);
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter(Boolean).join(': ').slice(0, 300);
  } catch {
    return '';
  }
}

async function endChild(
  child: ChildProcess,
  exited: Promise<ChildExit>,
  graceMs: number,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  const grace = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(grace);
}
