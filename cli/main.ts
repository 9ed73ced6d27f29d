#!/usr/bin/env node
/** The program: hands the process's line, streams and signals to runLine. */
import { setMaxListeners } from 'node:events';
import { FurrowError } from '../kit/furrow-error.ts';
import { EXIT } from './exit-codes.ts';
import { runLine } from './run-line.ts';

/** The first Ctrl-C asks the command to end, the second ends the process. */
function takeInterrupts(): AbortSignal {
  const controller = new AbortController();
  // Every request under way listens.
  setMaxListeners(0, controller.signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort(new FurrowError('aborted', 'INTERRUPTED', 'interrupted'));
    });
  }
  return controller.signal;
}

// `furrow jobs | head -1`: a reader that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

const { stdout, stderr, env: environment } = process;
process.exitCode = await runLine(process.argv.slice(2), {
  stdout,
  stderr,
  environment,
  takeInterrupts,
});
