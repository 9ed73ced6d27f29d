/** One line of the command, from arguments to exit code. Everything of the process comes as `Io`. */
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { FarmClient } from './client.ts';
import type { Command, CommandContext } from './command.ts';
import { nameContext } from './context-errors.ts';
import { EXIT, EXIT_OF_ERROR } from './exit-codes.ts';
import { createOutput, type Output } from './output/output.ts';
import { parseLine, type GlobalOptions } from './parse-line.ts';

export interface Io {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly environment: NodeJS.ProcessEnv;
  /** A signal that Ctrl-C aborts with an `aborted` FurrowError; from then on Ctrl-C is ours. */
  readonly takeInterrupts: () => AbortSignal;
}

export async function runLine(argv: readonly string[], io: Io): Promise<number> {
  const run = (
    command: Command,
    args: readonly string[],
    options: object,
    globals: GlobalOptions,
  ): Promise<number> => runCommand(command, args, options, globals, io);
  try {
    return await parseLine(asTable(argv), run, io);
  } catch (error) {
    return failed(error, openOutput({ json: argv.includes('--json') }, io), io);
  }
}

/** `furrow agent` is a role with options of its own; of one agent or of all, these commands are the same. */
function asTable(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf('agent');
  const isAbout = at >= 0 && OF_AGENTS.has(argv[at + 1] ?? '');
  return isAbout ? argv.with(at, 'agents') : argv;
}

const OF_AGENTS: ReadonlySet<string> = new Set(['invite', 'revoke', 'policy', 'pause', 'resume']);

async function runCommand(
  command: Command,
  args: readonly string[],
  options: object,
  globals: GlobalOptions,
  io: Io,
): Promise<number> {
  const out = openOutput(globals, io);
  // The roles end in good order by themselves, and know best when.
  const signal = command.passThrough ? new AbortController().signal : io.takeInterrupts();
  let client: Promise<FarmClient> | undefined;
  const farm = (): Promise<FarmClient> => (client ??= openClient(globals, io.environment, signal));
  const context: CommandContext = {
    out,
    signal,
    environment: io.environment,
    asked: globals,
    farm,
    blobs: async () => (await import('./blobs.ts')).blobTarget(await farm()),
    waitMs: globals.waitSeconds === undefined ? undefined : globals.waitSeconds * 1000,
  };
  try {
    const { report, exitCode } = await command.run(args, options, context);
    if (report) await out.report(report);
    return exitCode ?? EXIT.ok;
  } catch (error) {
    const context = (await client?.catch(() => undefined))?.context;
    return failed(nameContext(context, error), out, io);
  } finally {
    // A client that could not be made was reported already.
    await client?.then((open) => open.close()).catch(() => undefined);
  }
}

/** Loaded when it is needed: --help and bad usage must not wait for what they never use. */
async function openClient(
  globals: GlobalOptions,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<FarmClient> {
  const [{ FarmClient }, { findFarm }] = await Promise.all([
    import('./client.ts'),
    import('./farm-address.ts'),
  ]);
  return new FarmClient(await findFarm(globals, environment), signal);
}

function openOutput({ json, quiet }: GlobalOptions, { stdout, stderr, environment }: Io): Output {
  return createOutput({ json: json === true, quiet: quiet === true }, stdout, stderr, environment);
}

function failed(error: unknown, out: Output, { stderr, environment }: Io): number {
  const known =
    error instanceof FurrowError
      ? error
      : new FurrowError('internal', 'UNEXPECTED', messageOf(error), { cause: error });
  out.error(known);
  if (known.code === 'internal' && environment['FURROW_DEBUG'] && error instanceof Error) {
    stderr.write(`${error.stack}\n`);
  }
  return EXIT_OF_ERROR[known.code];
}
