/**
 * A cause that several agents share: the blob store, say, which none of them reaches. Suspending them one by
 * one would blame the wrong one. Grants pause for all instead, a while longer each time, until a unit succeeds.
 */
export interface SharedTrouble {
  /** Latest word of each agent whose unit could not reach something. */
  readonly reports: Map<string, { readonly cause: string; readonly atMs: number }>;
  pausedUntilMs: number;
  pauses: number;
  /** One line. */
  cause: string;
}

const TOGETHER_MS = 60_000;
const MIN_AGENTS = 2;
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 60_000;

export function newSharedTrouble(): SharedTrouble {
  return { reports: new Map(), pausedUntilMs: 0, pauses: 0, cause: '' };
}

/**
 * An agent's unit failed by what is around it. True when others met the same a moment ago: then it is not
 * this agent's fault.
 */
export function isShared(
  trouble: SharedTrouble,
  agentId: string,
  message: string,
  nowMs: number,
): boolean {
  const cause = causeOf(message);
  if (cause === undefined) return false;
  for (const [id, { atMs }] of trouble.reports) {
    if (nowMs - atMs >= TOGETHER_MS) trouble.reports.delete(id);
  }
  trouble.reports.set(agentId, { cause, atMs: nowMs });
  const agents = [...trouble.reports.values()].filter((report) => report.cause === cause).length;
  if (agents < MIN_AGENTS) return false;
  if (nowMs >= trouble.pausedUntilMs) {
    trouble.pauses += 1;
    const pauseMs = FIRST_PAUSE_MS * 2 ** Math.min(trouble.pauses - 1, 16);
    trouble.pausedUntilMs = nowMs + Math.min(pauseMs, LONGEST_PAUSE_MS);
    trouble.cause = message;
  }
  return true;
}

/** A unit succeeded: whatever it was, it is over. */
export function clearSharedTrouble(trouble: SharedTrouble): void {
  if (trouble.reports.size === 0 && trouble.pauses === 0) return;
  trouble.reports.clear();
  trouble.pausedUntilMs = 0;
  trouble.pauses = 0;
}

/** The address that could not be reached, or was told to be in trouble; a machine's own fault names none. */
function causeOf(message: string): string | undefined {
  return /\bhttps?:\/\/[^\s/:]+(?::\d+)?/.exec(message)?.[0];
}
