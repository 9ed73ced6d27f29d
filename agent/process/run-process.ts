/**
 * Runs one process of a unit: in a group of its own, with a scrubbed environment, at low priority, and
 * ended with all its descendants when the attempt ends. What it leaves running is ended too.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Readable } from 'node:stream';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { ProcessRequest, ProcessResult } from '../runners/runner.ts';
import type { BoxedUnit, Sandbox } from '../sandbox/sandbox.ts';
import { findProgram } from './find-program.ts';
import { LineSplitter } from './line-splitter.ts';
import type { GuardedUnit } from './memory-guard.ts';
import type { MemoryEnd } from './memory-limits.ts';
import type { MemorySampler } from './memory-sampler.ts';
import { readOomKills } from './oom-kills.ts';
import type { ProcessRecords } from './process-records.ts';
import { readProcess } from './process-table.ts';
import { endTree, MARKER_VARIABLE, type ProcessTree } from './process-tree.ts';
import { signalOf } from './signal-of.ts';

const TAIL_LINES = 50;
/** Units yield to whoever sits at the machine. */
const NICE = 10;
/** From 0, as others have, to 1000, which is killed first. */
const OOM_SCORE = '500';
/** Pipes held open by somebody out of reach are not waited for longer. */
const PIPE_GRACE_MS = 2_000;

export interface ProcessHost {
  readonly records: ProcessRecords;
  readonly sampler: MemorySampler;
  /** Null, as undefined, where programs run without one. */
  readonly sandbox?: Sandbox | null;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** From TERM to KILL. */
  readonly termGraceMs?: number;
  /** The attempt that it belongs to, when it is held to its memory. */
  readonly guarded?: GuardedUnit;
  /** What of it is seen in the sandbox, where there is one. */
  readonly box?: BoxedUnit | undefined;
}

export async function runProcess(
  host: ProcessHost,
  request: ProcessRequest,
  options: RunOptions,
): Promise<ProcessResult> {
  options.signal.throwIfAborted();
  const program = findProgram(request.program, request.cwd);
  const { guarded } = options;
  const oomKillsBefore = readOomKills();
  const { child, tree } = await start(host, program, request, options.box);
  let ending: Promise<boolean> | null = null;
  guarded?.add(tree.pid, () => {
    const killed = endTree(tree, 0);
    ending ??= killed;
  });
  host.sampler.watch(tree.pid, request.onBusy);
  const end = (): void => {
    ending ??= endTree(tree, options.termGraceMs);
  };
  const signals = [options.signal, ...(request.signal === undefined ? [] : [request.signal])];
  for (const signal of signals) {
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  }
  try {
    const tails = { stdoutTail: [], stderrTail: [] };
    const streams = readOutput(child, request, options.log, tails);
    const [exitCode, signal] = await exitOf(child);
    // Nothing that it left behind may outlive the unit.
    const ended = await (ending ?? endTree(tree, options.termGraceMs));
    await settleStreams(child, streams);
    if (!ended) throw cannotEnd(program);
    host.records.remove(tree);
    options.signal.throwIfAborted();
    const { ramBytes: peakRamBytes, vramBytes: peakVramBytes } = host.sampler.forget(tree.pid);
    const wasKilled = signalOf({ exitCode, signal }) === 'SIGKILL';
    const byKernel = wasKilled && readOomKills() > oomKillsBefore;
    const memoryEnd = memoryEndOf(guarded, byKernel, peakRamBytes);
    return { exitCode, signal, ...tails, peakRamBytes, peakVramBytes, memoryEnd };
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', end);
    guarded?.remove(tree.pid);
    host.sampler.forget(tree.pid);
  }
}

function memoryEndOf(
  guarded: GuardedUnit | undefined,
  byKernel: boolean,
  usedBytes: number,
): MemoryEnd | null {
  const known = guarded?.end ?? guarded?.kernelEnd() ?? null;
  return known ?? (byKernel ? { cause: 'kernel', usedBytes } : null);
}

async function start(
  host: ProcessHost,
  program: string,
  request: ProcessRequest,
  box: BoxedUnit | undefined,
): Promise<{ child: ChildProcess; tree: ProcessTree }> {
  const marker = randomUUID();
  const sandboxed = box === undefined ? undefined : host.sandbox?.argvFor(program, box);
  const wrapper = [...(sandboxed ?? parentDeathWrapper()), ...memoryWrapper(request.memoryBytes)];
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
    isSandbox: sandboxed !== undefined,
  };
  try {
    host.records.add(tree);
    setPriority(child.pid, NICE);
    offerToKernel(child.pid);
  } catch (error) {
    // A process without a record could outlive us; one that is gone already needs no priority.
    if (isNoSpace(error)) {
      await endTree(tree, 0);
      throw error;
    }
  }
  return { child, tree };
}

/** When memory runs out, the kernel is to take a unit, not the agent; its children inherit that. */
function offerToKernel(pid: number): void {
  if (process.platform === 'linux') writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE);
}

function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Built from nothing. What programs print is understood in English, and numbers are written with a point. */
function scrubbedEnvironment(request: ProcessRequest): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: request.cwd,
    TMPDIR: request.cwd,
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
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

interface OutputTails {
  readonly stdoutTail: string[];
  readonly stderrTail: string[];
}

function readOutput(
  child: ChildProcess,
  request: ProcessRequest,
  log: (line: string) => void,
  { stdoutTail, stderrTail }: OutputTails,
): readonly Promise<void>[] {
  const onStdout = (line: string): void => {
    keepLast(stdoutTail, line);
    (request.onStdoutLine ?? log)(line);
  };
  const onStderr = (line: string): void => {
    keepLast(stderrTail, line);
    if (request.quiet !== true) log(line);
    request.onStderrLine?.(line);
  };
  return [
    readLines(child.stdout as Readable, onStdout),
    readLines(child.stderr as Readable, onStderr),
  ];
}

function keepLast(tail: string[], line: string): void {
  tail.push(line);
  if (tail.length > TAIL_LINES) tail.shift();
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

let knownWrapper: readonly string[] | null = null;

/**
 * Where util-linux is there, the kernel kills the process when the agent is killed: otherwise a dead
 * agent's encoders would run on until its next start.
 */
function parentDeathWrapper(): readonly string[] {
  knownWrapper ??= ifItWorks(['setpriv', '--pdeathsig', 'KILL', '--']);
  return knownWrapper;
}

let canLimitMemory: boolean | null = null;

/** Allocations beyond it fail, and a program that handles that says so and ends. */
function memoryWrapper(memoryBytes: number | undefined): readonly string[] {
  if (memoryBytes === undefined) return [];
  const wrapper = ['prlimit', `--data=${memoryBytes}`, '--'];
  canLimitMemory ??= ifItWorks(wrapper).length > 0;
  return canLimitMemory ? wrapper : [];
}

/** The wrapper, or nothing where this machine has none that works. */
function ifItWorks(wrapper: readonly string[]): readonly string[] {
  const [program, ...args] = wrapper;
  const probe =
    process.platform === 'linux'
      ? spawnSync(program as string, [...args, 'true'], { stdio: 'ignore', timeout: 2_000 })
      : null;
  return probe?.status === 0 ? wrapper : [];
}
