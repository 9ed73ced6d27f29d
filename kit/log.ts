/**
 * Logs: a constant lower-case message, data in fields, child loggers bound to job, unit, agent.
 * Everything goes to standard error, so that standard output stays for results.
 */
import { pino, type Logger } from 'pino';

export type { Logger };

export interface LogOptions {
  /** Name of the role: coordinator, agent, cli. */
  readonly role: string;
  /** trace, debug, info, warn, error or silent. */
  readonly level: string;
}

export function createLog(options: LogOptions): Logger {
  return pino(
    { name: options.role, level: options.level, base: { role: options.role, pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
}
