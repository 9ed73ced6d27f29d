/**
 * The private nats-server of `furrow up`: a child, on loopback unless told, in its own process group so that a
 * Ctrl-C of the terminal reaches it only through us, after the coordinator has drained. It ends soon
 * after us should we be killed. A server
 * left by an earlier `furrow up` that was killed is ended, never used again: its token and options
 * may be old, and two servers on one store would destroy it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'nats';
import { z } from 'zod';
import { systemClock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { mostOpenFiles } from '../../kit/open-files.ts';
import { type NatsAuth, natsAuthOptions } from '../../kit/nats-auth.ts';
import type { Trust } from '../../kit/trust.ts';
import { isRunning, processStart } from '../../kit/process-identity.ts';
import { boundLog } from './bound-log.ts';
import { claimPort } from './claim-port.ts';
import { endWithUs } from './end-with-us.ts';
import { killOnExit } from './kill-on-exit.ts';
import type { NatsBinary } from './nats-binary.ts';
import { monitorPath, mostConnections, natsConfig, type ServerAuth } from './nats-config.ts';

export interface NatsServerOptions {
  readonly binary: NatsBinary;
  /** Holds store, configuration, log and pid: $FURROW_HOME/nats. */
  readonly directory: string;
  /** In front of the monitoring's paths: a secret. */
  readonly monitorSecret: string;
  readonly auth: ServerAuth;
  /** How we come in ourselves, to see whether it is ready. */
  readonly own: { readonly auth: NatsAuth; readonly trust: Trust };
  /** Address to listen on. Default loopback. */
  readonly host?: string;
  /** How others reach it, when that is not `host` (0.0.0.0 is no address to connect to). */
  readonly advertiseHost?: string;
  /** 0 takes a free one. A restart passes the port of the run before: clients come back to it. */
  readonly port: number;
  /** 0 takes a free one. */
  readonly monitorPort: number;
  readonly maxFileStoreBytes: number | undefined;
  /** Default: what this machine has room for. */
  readonly maxConnections?: number;
  readonly log: Logger;
}

export interface NatsExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly monitorPort: number;
  /** Where the coordinator reads that the server fsyncs. Holds a secret: not for argument lists. */
  readonly monitorUrl: string;
  readonly pid: number;
  readonly exited: Promise<NatsExit>;
  /** Asks it to end, and kills it after the grace. */
  stop(graceMs: number): Promise<void>;
  /** Reads its configuration and its certificate again. */
  reload(): void;
  /** Kills it at once. */
  kill(): void;
}

const LOOPBACK = '127.0.0.1';
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const ORPHAN_GRACE_MS = 5_000;
const LOG_TAIL_LINES = 3;
/** A port that was free a moment ago is anybody's. */
const PORT_ATTEMPTS = 5;

/**
 * Resolves once JetStream answers. FurrowError: failed-precondition NATS_OWNED (another `furrow up`
 * runs here), PORT_IN_USE, NATS_START_FAILED; timed-out NATS_NOT_READY.
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const mayMove = options.port === 0 || options.monitorPort === 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (!mayMove || attempt === PORT_ATTEMPTS || !lostItsPort(error)) throw error;
      options.log.info('somebody took the free port before nats-server did: another one');
    }
  }
}

function lostItsPort(error: unknown): boolean {
  if (!(error instanceof FurrowError) || error.reason !== 'NATS_START_FAILED') return false;
  return /address already in use/.test(error.message);
}

async function startOnce(options: NatsServerOptions): Promise<NatsServer> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  await endOrphan(options.directory, options.log);
  const host = options.host ?? LOOPBACK;
  const port = await claimPort(host, options.port);
  const monitorPort = await claimPort(LOOPBACK, options.monitorPort);
  const configPath = join(options.directory, 'nats-server.conf');
  const maxConnections = options.maxConnections ?? mostConnections(await mostOpenFiles());
  const config = natsConfig({ ...options, host, port, monitorPort, maxConnections });
  await writePrivate(configPath, config);

  const child = await spawnServer(options, configPath);
  // The journal is synced message by message: nothing is lost by it.
  killOnExit(child);
  endWithUs(child);
  const unbound = boundLog(logPath(options.directory), systemClock);
  const exited = new Promise<NatsExit>((resolve) => {
    child.once('exit', (code, signal) => {
      unbound();
      resolve({ code, signal });
    });
  });
  const server: NatsServer = {
    url: `nats://${options.advertiseHost ?? host}:${port}`,
    port,
    monitorPort,
    monitorUrl: `http://${LOOPBACK}:${monitorPort}${monitorPath(options.monitorSecret)}`,
    pid: child.pid ?? 0,
    exited,
    stop: async (graceMs) => {
      const isGone = child.exitCode !== null || child.signalCode !== null;
      if (!isGone) await endProcess(server.pid, exited, graceMs);
      await rm(recordPath(options.directory), { force: true });
    },
    reload: () => void child.kill('SIGHUP'),
    kill: () => void child.kill('SIGKILL'),
  };
  try {
    await writeRecord(options.directory, server.pid);
    await waitUntilReady(server, options);
  } catch (error) {
    await server.stop(0);
    throw error;
  }
  options.log.info(
    { pid: server.pid, url: server.url, version: options.binary.version },
    'nats-server started',
  );
  return server;
}

/** Its output goes to a file: a pipe would break, and end it, when we are killed. */
async function spawnServer(options: NatsServerOptions, config: string): Promise<ChildProcess> {
  const log = logPath(options.directory);
  await rename(log, `${log}.1`).catch(() => undefined);
  const output = openSync(log, 'a', 0o600);
  try {
    const child = spawn(options.binary.path, ['-c', config], {
      stdio: ['ignore', output, output],
      detached: true,
      cwd: options.directory,
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return child;
  } catch (error) {
    const message = `cannot start ${options.binary.path}: ${messageOf(error)}`;
    throw new FurrowError('failed-precondition', 'NATS_START_FAILED', message, { cause: error });
  } finally {
    closeSync(output);
  }
}

async function waitUntilReady(server: NatsServer, options: NatsServerOptions): Promise<void> {
  let ended: NatsExit | undefined;
  void server.exited.then((exit) => (ended = exit));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (ended !== undefined) {
      const message = `nats-server ended at once: ${await lastLines(options.directory)}`;
      throw new FurrowError('failed-precondition', 'NATS_START_FAILED', message);
    }
    if (await answers(server.url, options.own)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const seconds = READY_TIMEOUT_MS / 1000;
  const message = `nats-server does not answer after ${seconds} s: see ${logPath(options.directory)}`;
  throw new FurrowError('timed-out', 'NATS_NOT_READY', message);
}

/** Whether JetStream takes requests: the port opens before the streams are recovered. */
async function answers(url: string, { auth, trust }: NatsServerOptions['own']): Promise<boolean> {
  try {
    const nats = await connect({
      ...natsAuthOptions(auth, trust),
      servers: url,
      reconnect: false,
      timeout: 2_000,
    });
    try {
      const reply = await nats.request('$JS.API.INFO', '', { timeout: 1_000 });
      return !('error' in reply.json<object>());
    } finally {
      await nats.close();
    }
  } catch {
    return false;
  }
}

const recordSchema = z.object({
  pid: z.number().int().positive(),
  start: z.string(),
  ownerPid: z.number().int().positive(),
  ownerStart: z.string(),
});

async function endOrphan(directory: string, log: Logger): Promise<void> {
  const text = await readFile(recordPath(directory), 'utf8').catch(() => '');
  const parsed = recordSchema.safeParse(parseJson(text));
  if (!parsed.success) return;
  const { pid, start, ownerPid, ownerStart } = parsed.data;
  if (!isRunning(pid, start)) return;
  if (ownerPid !== process.pid && isRunning(ownerPid, ownerStart)) {
    const message = `furrow up (pid ${ownerPid}) already runs a farm in ${directory}: stop it first, or choose another FURROW_HOME`;
    throw new FurrowError('failed-precondition', 'NATS_OWNED', message);
  }
  log.warn({ pid }, 'ending the nats-server that an earlier run left');
  await endProcess(pid, whenGone(pid, start), ORPHAN_GRACE_MS);
}

async function whenGone(pid: number, start: string): Promise<void> {
  while (isRunning(pid, start)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** TERM, grace, KILL. */
async function endProcess(pid: number, gone: Promise<unknown>, graceMs: number): Promise<void> {
  let isGone = false;
  const ended = gone.then(() => (isGone = true));
  signalProcess(pid, 'SIGTERM');
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise((resolve) => (timer = setTimeout(resolve, graceMs)));
  await Promise.race([ended, grace]);
  clearTimeout(timer);
  if (!isGone) signalProcess(pid, 'SIGKILL');
  await ended;
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function writeRecord(directory: string, pid: number): Promise<void> {
  const record = {
    pid,
    start: processStart(pid) ?? '',
    ownerPid: process.pid,
    ownerStart: processStart(process.pid) ?? '',
  };
  await writePrivate(recordPath(directory), `${JSON.stringify(record)}\n`);
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function lastLines(directory: string): Promise<string> {
  const text = await readFile(logPath(directory), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  // Without the pid and the time of each line.
  const tail = lines.slice(-LOG_TAIL_LINES).map((line) => line.replace(/^\[\d+\] \S+ \S+ /, ''));
  return tail.length > 0 ? tail.join('; ') : `see ${logPath(directory)}`;
}

const recordPath = (directory: string): string => join(directory, 'process.json');
const logPath = (directory: string): string => join(directory, 'nats-server.log');

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
