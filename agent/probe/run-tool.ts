/** Asks a tool of this machine something: short, bounded, and never by a shell. */
import { execFile } from 'node:child_process';

/** Standard output; null when the tool is missing, fails, or takes too long. */
export function runTool(
  program: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string | null> {
  const options = {
    encoding: 'utf8',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 4 * 1024 * 1024,
  } as const;
  return new Promise((fulfil) => {
    execFile(program, args, options, (error, stdout) => fulfil(error === null ? stdout : null));
  });
}
