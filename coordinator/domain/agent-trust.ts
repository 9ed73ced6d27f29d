/**
 * Whether an agent gets work. One on which different units fail in a row, units of a kind of which others do well,
 * is suspended: one bad GPU must not eat the queue. So is one whose machine is at fault by its own word. It is
 * asked to probe itself, comes back after a pause with one unit at a time, and each failure then makes
 * the next pause longer; a success ends it all. A job that fails everywhere suspends nobody.
 *
 * Soft: a new leader begins without suspicion. Times are milliseconds of the monotonic clock.
 */
import type { EndKind } from './facts.ts';

export interface Trust {
  /** What failed since the last success, by unit. */
  readonly strikes: Map<string, Strike>;
  suspendedUntilMs: number;
  /** Suspensions since the last success. */
  suspensions: number;
  /** Why it was suspended last, in one line. */
  reason: string;
  /** It is to probe itself before it goes on. */
  owesProbe: boolean;
}

export interface Strike {
  /** The step, as paces name it. */
  readonly stepKey: string;
  readonly kind: EndKind;
  readonly message: string;
}

const STRIKES = 3;
/** So many of them in steps that go well elsewhere: the agent is to blame. */
const BLAMED_STRIKES = 2;
const FIRST_SUSPENSION_MS = 5_000;
const LONGEST_SUSPENSION_MS = 30 * 60_000;
const MOST_STRIKES = 32;

/** Failures of a unit that may be its agent's fault. */
const DOUBTFUL: ReadonlySet<EndKind> = new Set(['failed', 'bad-output', 'timed-out', 'stalled']);

export function newTrust(): Trust {
  return {
    strikes: new Map(),
    suspendedUntilMs: 0,
    suspensions: 0,
    reason: '',
    owesProbe: false,
  };
}

/** A unit succeeded there. */
export function noteSuccess(trust: Trust): void {
  if (trust.strikes.size === 0 && trust.suspensions === 0) return;
  trust.strikes.clear();
  trust.suspensions = 0;
  trust.suspendedUntilMs = 0;
  trust.owesProbe = false;
}

/** A unit failed there. `goesWellElsewhere` is asked of the steps of those that failed. */
export function noteFailure(
  trust: Trust,
  unit: string,
  strike: Strike,
  goesWellElsewhere: (stepKey: string) => boolean,
  nowMs: number,
): void {
  if (strike.kind === 'infrastructure') {
    suspend(trust, strike.message, nowMs);
    return;
  }
  if (!DOUBTFUL.has(strike.kind)) return;
  trust.strikes.delete(unit);
  trust.strikes.set(unit, strike);
  const [oldest] = trust.strikes.keys();
  if (trust.strikes.size > MOST_STRIKES && oldest !== undefined) trust.strikes.delete(oldest);
  if (!isOnTrial(trust) && trust.strikes.size < STRIKES) return;
  const blamed = [...trust.strikes.values()].filter((each) => goesWellElsewhere(each.stepKey));
  const enough = isOnTrial(trust) ? 1 : BLAMED_STRIKES;
  if (blamed.length < enough) return;
  const { kind, message } = strike;
  const many = `${trust.strikes.size} units failed there in a row`;
  suspend(trust, `${many}, the last ${unit} as ${kind}: ${message}`, nowMs);
}

/** With its next beat it is asked to prove anew what it can do. */
export function askToProbe(trust: Trust): void {
  trust.owesProbe = true;
}

/** Whether it gets one unit at a time. */
export function isOnTrial({ suspensions }: Trust): boolean {
  return suspensions > 0;
}

function suspend(trust: Trust, reason: string, nowMs: number): void {
  trust.reason = reason;
  trust.owesProbe = true;
  // What was running there already when it was suspended is one failure.
  if (nowMs < trust.suspendedUntilMs) return;
  trust.suspensions += 1;
  const pauseMs = FIRST_SUSPENSION_MS * 2 ** Math.min(trust.suspensions - 1, 16);
  trust.suspendedUntilMs = nowMs + Math.min(pauseMs, LONGEST_SUSPENSION_MS);
}

/** Why it gets nothing, or undefined. */
export function whySuspended(
  { suspendedUntilMs, reason }: Trust,
  nowMs: number,
): string | undefined {
  if (nowMs >= suspendedUntilMs) return undefined;
  const seconds = Math.ceil((suspendedUntilMs - nowMs) / 1000);
  return `it is suspended for ${seconds} s more: ${reason}`;
}
