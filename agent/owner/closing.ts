/** Why a machine takes no units, by its owner's will, and what becomes of those that run. Pure. */
import {
  formatDay,
  formatMinute,
  isWithin,
  nextStart,
  wallClockAt,
} from '../../kit/weekly-hours.ts';
import type { PolicyTerms } from '../../proto/agent-policy.ts';
import type { Use } from './use-watch.ts';

export interface Closing {
  /** One line, the same for as long as the cause is. */
  readonly reason: string;
  readonly onBusy: 'finish' | 'evict';
  readonly graceMs: number;
}

/** Undefined while it is open. `wallMs` is Unix time. */
export function closingOf(terms: PolicyTerms, use: Use, wallMs: number): Closing | undefined {
  const { mode, onBusy, graceMs } = terms;
  const byPlan = whyClosed(terms, wallMs);
  if (byPlan !== undefined) return { reason: byPlan, onBusy, graceMs };
  const byUse = mode === 'idle' ? whyBusy(terms, use) : undefined;
  if (byUse === undefined) return undefined;
  // What runs is not ended for want of a look.
  return { reason: byUse, onBusy: use.state === 'unknown' ? 'finish' : onBusy, graceMs };
}

/** Open only if all are; closed, the one that ends units soonest says how. */
export function strictestOf(closings: readonly (Closing | undefined)[]): Closing | undefined {
  const closed = closings.filter((closing) => closing !== undefined);
  const [first] = closed;
  if (first === undefined) return undefined;
  const evicting = closed.filter(({ onBusy }) => onBusy === 'evict');
  const [soonest = first] = evicting.toSorted((a, b) => a.graceMs - b.graceMs);
  return { ...soonest, reason: first.reason };
}

/** Whoever is at the machine. */
function whyClosed(terms: PolicyTerms, wallMs: number): string | undefined {
  const { mode, hours, timeZone, pausedUntilMs } = terms;
  if (mode === 'never') return 'it is not to work for the farm (mode never)';
  if (wallMs < pausedUntilMs)
    return `it is paused until ${timeAt(pausedUntilMs, wallMs, timeZone)}`;
  if (hours.length > 0) {
    const now = wallClockAt(wallMs, timeZone);
    const next = isWithin(hours, now) ? undefined : nextStart(hours, now);
    if (next !== undefined) {
      const day = next.inMinutes < 24 * 60 ? '' : `${formatDay(next.at.day)} `;
      return `it is outside its hours until ${day}${formatMinute(next.at.minute)}`;
    }
  }
  return undefined;
}

function whyBusy(terms: PolicyTerms, use: Use): string | undefined {
  const { idleAfterMs, maxLoadPercent, maxGpuPercent } = terms;
  switch (use.state) {
    case 'idle':
      return undefined;
    case 'unknown':
      return 'it does not know yet whether its owner is at the machine';
    case 'blind':
      return 'it cannot tell whether its owner is at the machine: give it hours instead of mode idle';
    case 'busy':
  }
  const within = `within the last ${inWords(idleAfterMs)}`;
  switch (use.with) {
    case 'input':
      return `its owner is at the machine (input ${within})`;
    case 'load':
      return `others use its processors (above ${maxLoadPercent}% ${within})`;
    case 'gpu':
      return `others use its GPU (above ${maxGpuPercent}% ${within})`;
  }
}

function timeAt(untilMs: number, nowMs: number, timeZone: string): string {
  const { day, minute } = wallClockAt(untilMs, timeZone);
  const isFar = untilMs - nowMs >= 24 * 3600 * 1000;
  return `${isFar ? `${formatDay(day)} ` : ''}${formatMinute(minute)}`;
}

function inWords(ms: number): string {
  return ms < 60_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`;
}
