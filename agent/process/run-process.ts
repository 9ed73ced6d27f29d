/**
 * Runs one process of a unit to its end (see `start-process.ts`), and ends it with all its descendants when
 * the attempt ends. What it leaves running is ended too.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { ProcessRequest, ProcessResult } from '../runners/runner.ts';
import type { BoxedUnit } from '../sandbox/sandbox.ts';
import { findProgram } from './find-program.ts';
import { LineSplitter } from './line-splitter.ts';
import type { GuardedUnit } from './memory-guard.ts';
import type { MemoryEnd } from './memory-limits.ts';
import { readOomKills } from './oom-kills.ts';
import { endTree } from './process-tree.ts';
import { signalOf } from './signal-of.ts';
import { type ProcessHost, startProcess } from './start-process.ts';

export type { ProcessHost } from './start-process.ts';

const TAIL_LINES = 50;
/** Pipes held open by somebody out of reach are not waited for longer. */
const PIPE_GRACE_MS = 2_000;

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
  const { child, tree } = await startProcess(host, program, request, options.box);
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
