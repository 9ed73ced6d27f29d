/** Asks a tool of this machine something: short, bounded, and never by a shell. */
import { execFile } from 'node:child_process';

export type ToolAnswer =
  | { readonly state: 'answered'; readonly stdout: string; readonly stderr: string }
  /** `reason` is one line: the first that it wrote to standard error, or how it ended. */
  | { readonly state: 'failed'; readonly reason: string }
  | { readonly state: 'timed-out' };

export type ToolEnvironment = Readonly<Record<string, string>>;

const LONGEST_REASON = 200;

/** `environment`: beyond the agent's own. */
export function askTool(
  program: string,
  args: readonly string[],
  timeoutMs: number,
  environment: ToolEnvironment = {},
): Promise<ToolAnswer> {
  const options = {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 4 * 1024 * 1024,
  } as const;
  return new Promise((fulfil) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return fulfil({ state: 'answered', stdout, stderr });
      if (error.killed === true) return fulfil({ state: 'timed-out' });
      if (error.code === 'ENOENT') {
        return fulfil({ state: 'failed', reason: `there is no program ${program}` });
      }
      fulfil({ state: 'failed', reason: firstLine(stderr) ?? `it ends with ${error.code}` });
    });
  });
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
