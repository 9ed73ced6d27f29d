/**
 * Times in which nothing expires: after a takeover, until agents had their time to come back, and those in which our
 * own event loop stood still.
 */
import type { Farm } from './farm.ts';
import { watchLease } from './lease-watch.ts';
import type { Liveness } from './liveness.ts';

export const MIN_TAKEOVER_GRACE_MS = 20_000;
/** Agents try again at least so often: when none came back for so long, the others will not. */
const ARRIVAL_GAP_MS = 5_000;

/**
 * The listeners are ready: from now on agents can come back. Where there are no leases there is nobody
 * to wait for, and what is granted from now on expires as ever: a new farm loses no time.
 */
export function beginTakeoverGrace(
  liveness: Liveness,
  farm: Farm,
  nowMs: number,
  minGraceMs: number,
): void {
  if (farm.leases.size === 0) return;
  for (const token of farm.leases.keys()) watchLease(liveness, token, nowMs);
  liveness.noExpiryBeforeMs = nowMs + Math.max(minGraceMs, liveness.leaseTtlMs + 5_000);
}

/** The grace lasts while agents still arrive: each counts once. */
export function prolongGrace(liveness: Liveness, nowMs: number): void {
  if (nowMs >= liveness.noExpiryBeforeMs) return;
  liveness.noExpiryBeforeMs = Math.max(liveness.noExpiryBeforeMs, nowMs + ARRIVAL_GAP_MS);
}

/** Our own event loop stood still: nobody else is to blame for beats that were not read. */
export function extendByStall(liveness: Liveness, stallMs: number): void {
  liveness.noExpiryBeforeMs += stallMs;
  for (const agent of liveness.agents.values()) {
    agent.lastBeatMs += stallMs;
    for (const [token, held] of agent.inventory) {
      agent.inventory.set(token, { ...held, progressMovedMs: held.progressMovedMs + stallMs });
    }
  }
  for (const lease of liveness.leases.values()) {
    lease.sinceMs += stallMs;
    if (lease.runningSinceMs !== undefined) lease.runningSinceMs += stallMs;
  }
}
