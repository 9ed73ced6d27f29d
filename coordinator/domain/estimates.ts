/**
 * How long units run, as far as anybody knows: by their progress, or by what agents took for units of the
 * same step. Milliseconds; undefined where nothing is known, which is said and not made up.
 */
import { stepOf } from './find.ts';
import type { Now } from './decision.ts';
import { type Farm, type Lease, unitId } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { paceKeyOf } from './pace.ts';
import { epochOf } from './token.ts';

/** All that an explanation goes by. */
export interface Seen {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly now: Now;
  /** False for a standby: agents talk to the leader. */
  readonly hearsAgents: boolean;
  /** Why nothing is granted to anybody just now, in one line. */
  readonly grantsNothing: string | undefined;
  /** Latest progress of a unit on an agent, 0 to 1; 0 when none is known. */
  readonly fractionOf: (job: number, unitId: string, agentId: string) => number;
}

/** Less progress than this says little of how long the rest takes. */
const TELLING_FRACTION = 0.02;

/** What the lease's unit takes: as others of its step did on that agent, or else anywhere, or others of its class. */
export function runMsOf({ farm, liveness }: Seen, lease: Lease): number | undefined {
  const step = stepOf(farm, lease.job, lease.step);
  const { paces } = liveness.agents.get(lease.agentId) ?? {};
  const own = paces?.get(paceKeyOf(lease.job, step.spec.name))?.runMs;
  return own ?? liveness.runTimes.expectedMs(lease.job, step);
}

/** When the lease was granted. Of one from before a takeover, or resumed, only when we began to watch. */
export function sinceOf(
  { liveness, now }: Seen,
  lease: Lease,
): { readonly wallMs: number; readonly forMs: number } | undefined {
  const sinceMs = liveness.leases.get(lease.token)?.sinceMs;
  if (sinceMs === undefined) return undefined;
  const forMs = now.monotonicMs - sinceMs;
  return { wallMs: now.wallMs - forMs, forMs };
}

/** Whether the lease's beginning is known: it was granted in this reign, and has not been resumed. */
export function isWatchedFromStart({ farm }: Seen, { token, grantNumber }: Lease): boolean {
  return epochOf(token) === farm.epoch && grantNumber > 0;
}

export function fractionDone({ farm, fractionOf }: Seen, lease: Lease): number {
  const { job, step, unit, agentId } = lease;
  return fractionOf(job, unitId(job, stepOf(farm, job, step).spec.name, unit), agentId);
}

/** How long the lease's unit still runs. */
export function remainingMs(seen: Seen, lease: Lease): number | undefined {
  const forMs = sinceOf(seen, lease)?.forMs;
  if (forMs === undefined) return undefined;
  const fraction = fractionDone(seen, lease);
  if (fraction >= TELLING_FRACTION && isWatchedFromStart(seen, lease)) {
    return (forMs * (1 - fraction)) / fraction;
  }
  const runMs = runMsOf(seen, lease);
  return runMs === undefined ? undefined : Math.max(0, runMs - forMs);
}
