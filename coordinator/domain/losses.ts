/**
 * Which losses speak against a unit. An agent that falls silent may have gone down with the unit, or it sleeps,
 * or is cut off: only its return tells. One that comes back as another session went down; one that is the same
 * session did not.
 *
 * Soft: a new leader knows of none, and takes all losses for what they were counted as.
 */
export interface Losses {
  /** Units that were lost when the agent's present session fell silent; how often, by unit. */
  readonly silent: Map<string, number>;
  /** Those of silences that its sessions came back from. */
  readonly survived: Map<string, number>;
}

/** So many units of an agent are remembered. */
const MOST_UNITS = 256;
/** So much of a loss does not count while nobody knows what the silence is. */
export const DOUBT = 0.5;

/** Of a new session: what the one before it fell silent with, it went down with. */
export function newLosses(before: Losses | undefined): Losses {
  return { silent: new Map(), survived: before?.survived ?? new Map() };
}

export function noteSilentLoss({ silent }: Losses, unit: string): void {
  add(silent, unit, 1);
}

/** The session is heard again. */
export function noteReturn({ silent, survived }: Losses): void {
  if (silent.size === 0) return;
  for (const [unit, losses] of silent) add(survived, unit, losses);
  silent.clear();
}

/** How much of the unit's losses there does not count. */
export function excusedLosses({ silent, survived }: Losses, unit: string): number {
  return (survived.get(unit) ?? 0) + DOUBT * (silent.get(unit) ?? 0);
}

function add(losses: Map<string, number>, unit: string, more: number): void {
  const before = losses.get(unit) ?? 0;
  losses.delete(unit);
  losses.set(unit, before + more);
  const [oldest] = losses.keys();
  if (losses.size > MOST_UNITS && oldest !== undefined) losses.delete(oldest);
}
