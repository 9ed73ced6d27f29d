/**
 * When this agent's session began, as it tells coordinators: they take the later of two sessions for the one
 * that lives. Each is later than the one before it on this machine, also when the clock was set back between.
 */
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { StateFile } from './state-file.ts';

export const SESSION_START_FILE = 'session-start';
/** A later one is a damaged file: Unix time beyond which there are no dates. */
const LATEST_MS = 8.64e15;

/** Unix time in whole milliseconds, or a little more than what the session before told. */
export function sessionStart(file: StateFile, wallMs: number, log: Logger): number {
  const { path } = file;
  let startedAtMs = Math.round(wallMs);
  try {
    const before = Number(file.read() ?? 0);
    if (before < LATEST_MS) startedAtMs = Math.max(startedAtMs, before + 1);
    file.replace(`${startedAtMs}\n`);
  } catch (error) {
    // The clock alone is nearly always right, and a full disk must not stop an agent.
    log.warn({ path, error: messageOf(error) }, 'cannot keep when the session began');
  }
  return startedAtMs;
}
