/** Whole command lines in this process, with what they print. */
import { PassThrough } from 'node:stream';
import { runLine } from '../../cli/run-line.ts';

export interface LineRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCliLine(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<LineRun> {
  const [stdout, stderr] = [collect(), collect()];
  const exitCode = await runLine(argv, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    environment,
    takeInterrupts: () => new AbortController().signal,
  });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function collect(): { readonly stream: NodeJS.WriteStream; readonly text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}
