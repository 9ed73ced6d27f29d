/** What follows when an attempt ends without a result: the kind decides, not the agent. */
import type { EndKind, LeaseEnded } from './facts.ts';
import type { Lease, StepRun } from './farm.ts';
import { unitsOf } from './apply.ts';
import type { Token } from './token.ts';
import { UNIT_LEASED } from './unit-table.ts';

/** A unit whose agents keep getting lost is quarantined after so many, on at least two agents. */
const MAX_LOSSES = 3;
const MIN_AGENTS_FOR_QUARANTINE = 2;
/** Failures that are not the unit's fault still end somewhere. */
const MAX_BLAMELESS_ATTEMPTS = 50;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 5 * 60_000;
const INFRASTRUCTURE_PAUSE_MS = 5_000;

type Consequence = Pick<LeaseEnded, 'next' | 'counts' | 'lost' | 'front'>;

/** The fact that ends a lease, with what becomes of its unit. */
export function endLease(
  lease: Lease,
  step: StepRun,
  end: { readonly kind: EndKind; readonly message: string },
  nowMs: number,
): LeaseEnded {
  const stillHeld = unitsOf(step).stateOf(lease.unit) === UNIT_LEASED;
  const consequence: Consequence = stillHeld
    ? consequenceOf(lease, step, end.kind, nowMs)
    : { next: { kind: 'nothing' }, counts: false, lost: false, front: false };
  return {
    type: 'LeaseEnded',
    token: lease.token,
    job: lease.job,
    step: lease.step,
    unit: lease.unit,
    attempt: lease.attempt,
    agentId: lease.agentId,
    kind: end.kind,
    message: end.message,
    ...consequence,
    atMs: nowMs,
  };
}

function consequenceOf(lease: Lease, step: StepRun, kind: EndKind, nowMs: number): Consequence {
  const units = unitsOf(step);
  const soon = { kind: 'queued', notBeforeMs: 0 } as const;
  switch (kind) {
    case 'failed':
    case 'timed-out':
    case 'stalled':
    case 'bad-output': {
      const failures = units.failureCountOf(lease.unit) + 1;
      const isLast = failures >= step.limits.maxAttempts;
      const next = isLast ? ({ kind: 'failed' } as const) : later(failures, lease.token, nowMs);
      return { next, counts: true, lost: false, front: false };
    }
    case 'invalid-input':
      return { next: { kind: 'failed' }, counts: true, lost: false, front: false };
    case 'lost': {
      const agents = new Set(units.lostOn.get(lease.unit)).add(lease.agentId);
      const isQuarantined =
        units.lossCountOf(lease.unit) + 1 >= MAX_LOSSES && agents.size >= MIN_AGENTS_FOR_QUARANTINE;
      const next = isQuarantined ? ({ kind: 'failed' } as const) : soon;
      return { next, counts: false, lost: true, front: true };
    }
    case 'evicted':
    case 'expired':
    case 'refused':
    case 'cancelled':
      return { next: soon, counts: false, lost: false, front: true };
    case 'out-of-memory':
    case 'out-of-vram':
    case 'infrastructure': {
      const isLast = units.attemptsOf(lease.unit) >= MAX_BLAMELESS_ATTEMPTS;
      const next = isLast
        ? ({ kind: 'failed' } as const)
        : ({ kind: 'queued', notBeforeMs: nowMs + INFRASTRUCTURE_PAUSE_MS } as const);
      return { next, counts: false, lost: false, front: false };
    }
  }
}

/** Doubling pauses with jitter; the token is the dice, so that the same history gives the same time. */
function later(failures: number, token: Token, nowMs: number): LeaseEnded['next'] {
  const pause = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), MAX_BACKOFF_MS);
  const dice = ((token % 1009) * 271) % 1000;
  return { kind: 'queued', notBeforeMs: Math.round(nowMs + pause * (0.75 + dice / 2000)) };
}
