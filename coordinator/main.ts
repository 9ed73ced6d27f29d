/** The role `furrow coordinator`: settings, signals, exit code. */
import { type ErrorCode, FurrowError, messageOf } from '../kit/furrow-error.ts';
import { createLog, type Logger } from '../kit/log.ts';
import type { Ending } from './candidate.ts';
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
  'data-loss': 7,
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
    return await serve(config, log, leaving.signal);
  } finally {
    process.stdin.destroy();
  }
}

/** Starts again where it was as long as it is only cut off; the listeners keep their ports. */
async function serve(
  config: CoordinatorConfig,
  log: Logger,
  leaving: AbortSignal,
): Promise<number> {
  for (let settings = config; ;) {
    const coordinator = await startCoordinator(settings, log);
    const close = (): void => void coordinator.close();
    if (leaving.aborted) close();
    leaving.addEventListener('abort', close, { once: true });
    let ending: Ending;
    try {
      ending = await coordinator.ended;
    } finally {
      leaving.removeEventListener('abort', close);
      await coordinator.close();
    }
    switch (ending.state) {
      case 'closed':
        return 0;
      case 'deposed':
        log.error({ reason: ending.reason }, 'deposed');
        return EXIT_DEPOSED;
      case 'cut-off':
        log.warn('the journal was cut above what was read of it: starting again from a snapshot');
    }
    const { grpcPort, httpPort } = coordinator;
    settings = Object.freeze({ ...config, grpcPort, httpPort });
  }
}
