/** The role `furrow coordinator`: settings, signals, exit code. */
import { type ErrorCode, FurrowError, messageOf } from '../kit/furrow-error.ts';
import { createLog, type Logger } from '../kit/log.ts';
import { COORDINATOR_USAGE, type CoordinatorConfig, readCoordinatorConfig } from './config.ts';
import { startCoordinator } from './coordinator.ts';

/** As the CLI's: 2 bad usage, 3 unreachable, 7 refused. */
const EXIT_CODES: Partial<Record<ErrorCode, number>> = {
  invalid: 2,
  unavailable: 3,
  'timed-out': 3,
  conflict: 7,
  'failed-precondition': 7,
  forbidden: 7,
  unauthenticated: 7,
};
/** Another coordinator leads. */
const EXIT_DEPOSED = 7;

/** Answers the exit code. */
export async function main(argv: string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(COORDINATOR_USAGE);
    return 0;
  }
  try {
    const config = readCoordinatorConfig(argv);
    return await run(config, createLog({ role: 'coordinator', level: config.logLevel }));
  } catch (error) {
    process.stderr.write(`furrow coordinator: ${messageOf(error)}\n`);
    return error instanceof FurrowError ? (EXIT_CODES[error.code] ?? 1) : 1;
  }
}

async function run(config: CoordinatorConfig, log: Logger): Promise<number> {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  process.once('SIGTERM', leave);
  process.once('SIGINT', leave);
  const crash = (error: unknown): void => {
    // Nothing that is committed is lost by this; nothing that is not was said.
    log.fatal({ err: error }, 'the coordinator met an error that it does not know; it ends');
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  if (config.exitWithParent) {
    process.stdin.once('close', leave).on('error', leave).resume();
  }
  try {
    const coordinator = await startCoordinator(config, log, leaving.signal);
    if (coordinator === undefined) return 0;
    const left = new Promise<'left'>((resolve) => {
      if (leaving.signal.aborted) resolve('left');
      leaving.signal.addEventListener('abort', () => resolve('left'), { once: true });
    });
    const reason = await Promise.race([left, coordinator.deposed]);
    if (reason !== 'left') log.error({ reason }, 'deposed');
    await coordinator.close();
    return reason === 'left' ? 0 : EXIT_DEPOSED;
  } finally {
    process.stdin.destroy();
  }
}
