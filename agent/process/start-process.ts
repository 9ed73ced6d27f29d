/**
 * Starts a process in a group of its own, with a scrubbed environment, at low priority, in the unit's sandbox
 * where there is one, and recorded before anything else happens, so that the next run of the agent ends it
 * when this one is killed. The kernel ends it with the agent, where it can be asked to.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { ProcessRequest } from '../runners/runner.ts';
import type { BoxedUnit, Sandbox } from '../sandbox/sandbox.ts';
import type { MemorySampler } from './memory-sampler.ts';
import type { ProcessRecords } from './process-records.ts';
import { readProcess } from './process-table.ts';
import { endTree, MARKER_VARIABLE, type ProcessTree } from './process-tree.ts';

/** Units yield to whoever sits at the machine. */
const NICE = 10;
/** From 0, as others have, to 1000, which is killed first. */
const OOM_SCORE = '500';

export interface ProcessHost {
  readonly records: ProcessRecords;
  readonly sampler: MemorySampler;
  /** Null, as undefined, where programs run without one. */
  readonly sandbox?: Sandbox | null;
}

/** What is started, and how. */
export type StartRequest = Pick<
  ProcessRequest,
  'program' | 'args' | 'cwd' | 'environment' | 'memoryBytes'
> & {
  /** Standard input is a pipe; nothing otherwise. */
  readonly hasInput?: boolean;
};

/** `program`: absolute. FurrowError: exhausted SPAWN_FAILED. */
export async function startProcess(
  host: ProcessHost,
  program: string,
  request: StartRequest,
  box: BoxedUnit | undefined,
): Promise<{ child: ChildProcess; tree: ProcessTree }> {
  const marker = randomUUID();
  const sandboxed = box === undefined ? undefined : host.sandbox?.argvFor(program, box);
  const wrapper = [...(sandboxed ?? parentDeathWrapper()), ...memoryWrapper(request.memoryBytes)];
  const [command, ...args] = [...wrapper, program, ...request.args];
  const child = spawn(command as string, args, {
    cwd: request.cwd,
    detached: true,
    stdio: [request.hasInput === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
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
function scrubbedEnvironment(request: StartRequest): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: request.cwd,
    TMPDIR: request.cwd,
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    ...request.environment,
  };
}

let knownWrapper: readonly string[] | null = null;

/**
 * Where util-linux is there, the kernel kills the process when the agent is killed: otherwise a dead
 * agent's encoders would run on until its next start.
 */
export function parentDeathWrapper(): readonly string[] {
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
