/**
 * Why an attempt failed, as a kind: from what was thrown, or from how its program ended and what it
 * printed. Pure.
 */
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { GPU_UNUSABLE } from './agent-core.ts';
import { type FailurePattern, isGpuUnusable, matchFailure } from './failure-patterns.ts';
import type { MemoryEnd } from './process/memory-limits.ts';
import { signalOf } from './process/signal-of.ts';
import type { FailureKind, ProcessResult, RunOutcome } from './runners/runner.ts';

/** How a program of the attempt ended that did not end well. */
export type FailedRun = Pick<ProcessResult, 'exitCode' | 'signal' | 'stdoutTail' | 'stderrTail'>;

type Failed = RunOutcome & { readonly state: 'failed' };

const OUT_OF_MEMORY = 'OUT_OF_MEMORY';
const MIB = 1024 * 1024;

/** Errors of the machine, not of the unit: another agent can do better. */
const MACHINE_ERRORS: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EACCES',
  'EAGAIN',
]);

/** What was thrown, as kind and message. `cancellation` is the attempt's. */
export function failureOf(
  error: unknown,
  cancellation: { readonly aborted: boolean; readonly reason: unknown },
): readonly [FailureKind, string] {
  const message = messageOf(error);
  if (cancellation.aborted) {
    const { reason } = cancellation;
    const isGpu = reason instanceof FurrowError && reason.reason === GPU_UNUSABLE;
    return [isGpu ? 'infrastructure' : 'evicted', messageOf(reason)];
  }
  if (error instanceof FurrowError) {
    if (error.reason === 'RUN_TIMEOUT') return ['timed-out', message];
    if (error.reason === OUT_OF_MEMORY) return ['out-of-memory', message];
    return [error.code === 'invalid' ? 'invalid-input' : 'infrastructure', message];
  }
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== undefined && MACHINE_ERRORS.has(code)) {
    const remedy = code === 'ENOSPC' || code === 'EDQUOT' ? "the agent's disk is full: " : '';
    return ['infrastructure', `${remedy}${message}`];
  }
  return ['failed', message];
}

/** Of a unit that was ended for the memory that it took; whatever its runner makes of that. */
export function outOfMemory(end: MemoryEnd, demandBytes: number): FurrowError {
  return new FurrowError('exhausted', OUT_OF_MEMORY, memoryMessage(end, demandBytes));
}

function memoryMessage(end: MemoryEnd, demandBytes: number): string {
  const used = `${Math.ceil(end.usedBytes / MIB)} MiB`;
  const demand = demandBytes === 0 ? 'demands none' : `demands ${mib(demandBytes)}`;
  const remedy = 'let its step demand what it needs (ramBytes)';
  switch (end.cause) {
    case 'demand':
      return `it took ${used} of memory and may take ${mib(end.limitBytes)}: it ${demand}; ${remedy}`;
    case 'machine':
      return `the machine had only ${mib(end.leftBytes)} of memory left, and it took ${used} and ${demand}: ${remedy}`;
    case 'kernel':
      return `the kernel killed it because the machine's memory ran out; it took ${used} and ${demand}: ${remedy}`;
  }
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`;
}

export interface JudgedUnit {
  readonly hasGpu: boolean;
  /** Another step does its work if it fails for good. */
  readonly hasStandIn: boolean;
}

/**
 * A program only says that it failed; what it printed and how it ended say why. Kinds that the runner told
 * by itself stand. `run` is the last program of the attempt that ended badly; null when there was none.
 */
export function judgeFailure(
  outcome: Failed,
  run: FailedRun | null,
  { hasGpu, hasStandIn }: JudgedUnit,
  own: readonly FailurePattern[],
): Failed {
  if (outcome.kind !== 'failed' || run === null) return outcome;
  const lines = [...run.stdoutTail, ...run.stderrTail];
  const match = matchFailure(lines, { hasGpu, exitCode: run.exitCode }, own);
  if (match !== null) {
    const line = match.line.trim();
    const quoted = outcome.message.includes(line) ? '' : ` (it printed: ${line})`;
    const meaning = match.message === '' ? '' : `${match.message}: `;
    // Others would be asked in turn, and then this machine again: where the work can be done without, it should be.
    const kind = hasStandIn && isGpuUnusable(match) ? 'failed' : match.kind;
    return { ...outcome, kind, message: `${meaning}${outcome.message}${quoted}` };
  }
  return judgeSignal(outcome, signalOf(run));
}

function judgeSignal(outcome: Failed, signal: string | null): Failed {
  const { message } = outcome;
  switch (signal) {
    // The same program runs elsewhere: its build asks for more than this processor has.
    case 'SIGILL':
      return {
        ...outcome,
        kind: 'infrastructure',
        message: `this machine's processor lacks an instruction that the program uses: ${message}`,
      };
    case 'SIGKILL':
      return {
        ...outcome,
        message: `${message} (killed by signal 9, not by the agent: the kernel's log may say why)`,
      };
    case 'SIGSEGV':
    case 'SIGBUS':
      return { ...outcome, message: `${message} (it crashed: a bad access to memory)` };
    default:
      return outcome;
  }
}
