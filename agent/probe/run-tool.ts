/**
 * Asks a tool of this machine something: short, bounded, and never by a shell. What does not answer in time is
 * ended with all that it started, and so it is when the agent ends, however that dies where the kernel sees to it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { FurrowError } from '../../kit/furrow-error.ts';
import { findProgram } from '../process/find-program.ts';
import { parentDeathWrapper } from '../process/start-process.ts';

export type ToolAnswer =
  | { readonly state: 'answered'; readonly stdout: string; readonly stderr: string }
  /** `reason` is one line: the first that it wrote to standard error, or how it ended. */
  | { readonly state: 'failed'; readonly reason: string }
  | { readonly state: 'timed-out' };

export type ToolEnvironment = Readonly<Record<string, string>>;

const LONGEST_REASON = 200;
const MOST_BYTES = 4 * 1024 * 1024;

/** `environment`: beyond the agent's own. `signal`: nobody wants the answer any more; it counts as too late. */
export async function askTool(
  program: string,
  args: readonly string[],
  timeoutMs: number,
  environment: ToolEnvironment = {},
  signal?: AbortSignal,
): Promise<ToolAnswer> {
  if (signal?.aborted === true) return { state: 'timed-out' };
  const path = pathOf(program);
  if (path === undefined) return { state: 'failed', reason: `there is no program ${program}` };
  const [command, ...rest] = [...parentDeathWrapper(), path, ...args];
  const child = spawn(command as string, rest, {
    env: { ...process.env, ...environment },
    // A group of its own: a script that hangs mostly waits for what it started.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return answerOf(child, timeoutMs, signal);
}

function pathOf(program: string): string | undefined {
  try {
    return findProgram(program, process.cwd());
  } catch (error) {
    if (error instanceof FurrowError) return undefined;
    throw error;
  }
}

function answerOf(
  child: ChildProcess,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<ToolAnswer> {
  return new Promise((fulfil) => {
    const printed = { stdout: '', stderr: '' };
    let isLate = false;
    const end = (): void => {
      isLate = true;
      endGroup(child);
    };
    const timer = setTimeout(end, timeoutMs);
    signal?.addEventListener('abort', end, { once: true });
    const settle = (answer: ToolAnswer): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      fulfil(answer);
    };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        printed[name] += text;
        if (printed[name].length > MOST_BYTES) endGroup(child);
      });
    }
    child.on('error', ({ message }) => settle({ state: 'failed', reason: message }));
    child.on('close', (code, killedBy) => {
      if (isLate) return settle({ state: 'timed-out' });
      if (code === 0) return settle({ state: 'answered', ...printed });
      settle({
        state: 'failed',
        reason: firstLine(printed.stderr) ?? `it ends with ${code ?? killedBy}`,
      });
    });
  });
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Standard output; null when the tool is missing, fails, or takes too long. */
export async function runTool(
  program: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string | null> {
  const answer = await askTool(program, args, timeoutMs);
  return answer.state === 'answered' ? answer.stdout : null;
}

/** Undefined when there is none. Without the `[h264_nvenc @ 0x55d4]` that ffmpeg begins with. */
export function firstLine(text: string): string | undefined {
  const line = text.split('\n').find((one) => one.trim() !== '');
  const told = line?.replace(/^\s*\[[^\]]* @ 0x[0-9a-f]+\]\s*/, '').trim();
  return told?.slice(0, LONGEST_REASON);
}
