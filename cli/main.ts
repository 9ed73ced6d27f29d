#!/usr/bin/env node
/** The program: hands the process's line, streams and signals to runLine. */
import { setMaxListeners } from 'node:events';
import { FurrowError } from '../kit/furrow-error.ts';
import { EXIT } from './exit-codes.ts';
import { runLine } from './run-line.ts';

/**
 * One Ctrl-C comes twice under npm: from the terminal, and passed on by npm. What follows so soon is
 * no second one.
 */
const SAME_INTERRUPT_MS = 500;

/**
 * The first Ctrl-C, or the end of the terminal, asks the command to end; the second ends the process.
 */
function takeInterrupts(): AbortSignal {
  const controller = new AbortController();
  let firstAtMs = 0;
  // Every request under way listens.
  setMaxListeners(0, controller.signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) {
        if (performance.now() - firstAtMs > SAME_INTERRUPT_MS) process.exit(EXIT.interrupted);
        return;
      }
      firstAtMs = performance.now();
      controller.abort(new FurrowError('aborted', 'INTERRUPTED', 'interrupted'));
    });
  }
  return controller.signal;
}

// `furrow jobs | head -1`: a reader that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  if (error.code !== 'EIO') throw error;
  // The terminal is gone: its SIGHUP ends the command in good order, and nobody reads what it says.
});
process.stderr.on('error', () => undefined);

const { stdout, stderr, env: environment } = process;
process.exitCode = await runLine(process.argv.slice(2), {
  stdout,
  stderr,
  environment,
  takeInterrupts,
});
