#!/usr/bin/env node
/** The program: parses the line, runs the command, prints its report, answers with its exit code. */
import { setMaxListeners } from 'node:events';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { FarmClient } from './client.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, EXIT_OF_ERROR } from './exit-codes.ts';
import { findFarm } from './farm-address.ts';
import { createOutput, type Output } from './output/output.ts';
import { parseLine, type GlobalOptions } from './parse-line.ts';

async function main(argv: readonly string[]): Promise<number> {
  const earlyOut = createOutput({ json: argv.includes('--json'), quiet: false });
  try {
    return await parseLine(argv, runCommand);
  } catch (error) {
    return failed(error, earlyOut);
  }
}

async function runCommand(
  command: Command,
  args: readonly string[],
  options: object,
  globals: GlobalOptions,
): Promise<number> {
  const out = createOutput({ json: globals.json === true, quiet: globals.quiet === true });
  // The roles end in good order by themselves, and know best when.
  const signal = command.passThrough ? new AbortController().signal : onInterrupt();
  let client: Promise<FarmClient> | undefined;
  const farm = (): Promise<FarmClient> =>
    (client ??= findFarm(globals, process.env).then((found) => new FarmClient(found, signal)));
  const context: CommandContext = {
    out,
    signal,
    environment: process.env,
    farm,
    async blobs() {
      const farmClient = await farm();
      const { farm: service } = farmClient;
      const { blobUrl } = await farmClient.call(service.getStatus.bind(service), {});
      return { url: blobUrl, token: farmClient.token };
    },
    waitMs: globals.waitSeconds === undefined ? undefined : globals.waitSeconds * 1000,
  };
  try {
    const { report, exitCode } = await command.run(args, options, context);
    if (report) out.report(report);
    return exitCode ?? EXIT.ok;
  } catch (error) {
    return failed(error, out);
  } finally {
    // A client that could not be made was reported already.
    await client?.then((open) => open.close()).catch(() => undefined);
  }
}

function failed(error: unknown, out: Output): number {
  const known =
    error instanceof FurrowError
      ? error
      : new FurrowError('internal', 'UNEXPECTED', messageOf(error), { cause: error });
  out.error(known);
  if (known.code === 'internal' && process.env['FURROW_DEBUG'] && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`);
  }
  return EXIT_OF_ERROR[known.code];
}

/** The first Ctrl-C asks the command to end, the second ends the process. */
function onInterrupt(): AbortSignal {
  const controller = new AbortController();
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

process.exitCode = await main(process.argv.slice(2));
