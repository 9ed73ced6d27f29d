/**
 * Runs one process of a unit: in a group of its own, with a scrubbed environment, at low priority, and
 * ended with all its descendants when the attempt ends. What it leaves running is ended too.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, statSync } from 'node:fs';
import { setPriority } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { ProcessRequest, ProcessResult } from '../runners/runner.ts';
import { LineSplitter } from './line-splitter.ts';
import type { MemorySampler } from './memory-sampler.ts';
import type { ProcessRecords } from './process-records.ts';
import { readProcess } from './process-table.ts';
import { endTree, MARKER_VARIABLE, type ProcessTree } from './process-tree.ts';

const STDERR_TAIL_LINES = 50;
/** Units yield to whoever sits at the machine. */
const NICE = 10;
/** Pipes held open by somebody out of reach are not waited for longer. */
const PIPE_GRACE_MS = 2_000;

export interface ProcessHost {
  readonly records: ProcessRecords;
  readonly sampler: MemorySampler;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** From TERM to KILL. */
  readonly termGraceMs?: number;
}

export async function runProcess(
  host: ProcessHost,
  request: ProcessRequest,
  options: RunOptions,
): Promise<ProcessResult> {
  options.signal.throwIfAborted();
  const program = findProgram(request.program, request.cwd);
  const { child, tree } = await start(host, program, request);
  host.sampler.watch(tree.pid);
  let ending: Promise<boolean> | null = null;
  const end = (): void => {
    ending ??= endTree(tree, options.termGraceMs);
  };
  options.signal.addEventListener('abort', end, { once: true });
  if (options.signal.aborted) end();
  try {
    const stderrTail: string[] = [];
    const streams = readOutput(child, request, options.log, stderrTail);
    const [exitCode, signal] = await exitOf(child);
    // Nothing that it left behind may outlive the unit.
    const ended = await (ending ?? endTree(tree, options.termGraceMs));
    await settleStreams(child, streams);
    if (!ended) throw cannotEnd(program);
    host.records.remove(tree);
    options.signal.throwIfAborted();
    return { exitCode, signal, stderrTail, peakRamBytes: host.sampler.forget(tree.pid) };
  } finally {
    options.signal.removeEventListener('abort', end);
    host.sampler.forget(tree.pid);
  }
}

async function start(
  host: ProcessHost,
  program: string,
  request: ProcessRequest,
): Promise<{ child: ChildProcess; tree: ProcessTree }> {
  const marker = randomUUID();
  const wrapper = parentDeathWrapper();
  const [command, ...args] = [...wrapper, program, ...request.args];
  const child = spawn(command as string, args, {
    cwd: request.cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...scrubbedEnvironment(request), [MARKER_VARIABLE]: marker },
  });
  if (child.pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error];
    throw new FurrowError(
      'exhausted',
      'SPAWN_FAILED',
      `${request.program} cannot be started: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const tree: ProcessTree = {
    pid: child.pid,
    startTicks: readProcess(child.pid)?.startTicks ?? null,
    marker,
    groupIsCertain: true,
  };
  try {
    host.records.add(tree);
    setPriority(child.pid, NICE);
  } catch (error) {
    // A process without a record could outlive us; one that is gone already needs no priority.
    if (isNoSpace(error)) {
      await endTree(tree, 0);
      throw error;
    }
  }
  return { child, tree };
}

function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function scrubbedEnvironment(request: ProcessRequest): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: request.cwd,
    TMPDIR: request.cwd,
    LANG: process.env['LANG'] ?? 'C.UTF-8',
    ...request.environment,
  };
}

/** Settles when the process itself is gone; its pipes may be open still. */
async function exitOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return [child.exitCode, child.signalCode];
  }
  return (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
}

function readOutput(
  child: ChildProcess,
  request: ProcessRequest,
  log: (line: string) => void,
  stderrTail: string[],
): readonly Promise<void>[] {
  const onStderr = (line: string): void => {
    stderrTail.push(line);
    if (stderrTail.length > STDERR_TAIL_LINES) stderrTail.shift();
    if (request.quiet !== true) log(line);
    request.onStderrLine?.(line);
  };
  return [
    readLines(child.stdout as Readable, request.onStdoutLine ?? log),
    readLines(child.stderr as Readable, onStderr),
  ];
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const splitter = new LineSplitter(onLine);
  stream.on('data', (chunk: Uint8Array) => splitter.push(chunk));
  // A pipe that breaks ends like one that was closed: the exit code tells the rest.
  stream.on('error', () => stream.destroy());
  await new Promise((settle) => stream.once('close', settle));
  splitter.end();
}

async function settleStreams(
  child: ChildProcess,
  streams: readonly Promise<void>[],
): Promise<void> {
  const timer = setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, PIPE_GRACE_MS);
  await Promise.all(streams);
  clearTimeout(timer);
}

function cannotEnd(program: string): FurrowError {
  return new FurrowError(
    'internal',
    'PROCESS_SURVIVES',
    `${program} does not end even when killed: it hangs in the kernel; restart the machine`,
  );
}

/** The absolute path of a program: on PATH, or relative to the unit's directory if it names a folder. */
function findProgram(name: string, cwd: string): string {
  const candidates = /[/\\]/.test(name)
    ? [isAbsolute(name) ? name : resolve(cwd, name)]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder || '.', name));
  const found = candidates.find(isProgram);
  if (found !== undefined) return found;
  throw new FurrowError(
    'failed-precondition',
    'TOOL_MISSING',
    `${name} is not a program on this machine: install it, or put it on the agent's PATH`,
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

let knownWrapper: readonly string[] | null = null;

/**
 * Where util-linux is there, the kernel kills the process when the agent is killed: otherwise a dead
 * agent's encoders would run on until its next start.
 */
function parentDeathWrapper(): readonly string[] {
  if (knownWrapper === null) {
    const wrapper = ['setpriv', '--pdeathsig', 'KILL', '--'];
    const probe =
      process.platform === 'linux'
        ? spawnSync('setpriv', [...wrapper.slice(1), 'true'], { stdio: 'ignore', timeout: 2_000 })
        : null;
    knownWrapper = probe?.status === 0 ? wrapper : [];
  }
  return knownWrapper;
}
