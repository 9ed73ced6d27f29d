/** What follows when an attempt ends without a result: the kind decides, not the agent. */
import type { EndKind, LeaseEnded } from './facts.ts';
import type { Lease, StepRun } from './farm.ts';
import { unitsOf } from './find.ts';
import { decidesAboutUnit } from './copy-race.ts';
import type { Outgrown } from './outgrown.ts';
import type { Token } from './token.ts';
import { UNIT_LEASED, type UnitTable } from './unit-table.ts';

/** A unit whose agents keep getting lost is quarantined after so many, on at least two agents. */
const MAX_LOSSES = 3;
const MIN_AGENTS_FOR_QUARANTINE = 2;
/** Failures that are not the unit's fault still end somewhere. */
const MAX_BLAMELESS_ATTEMPTS = 50;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 5 * 60_000;
const INFRASTRUCTURE_PAUSE_MS = 5_000;

type Consequence = Pick<LeaseEnded, 'next' | 'counts' | 'lost' | 'front' | 'grow'>;

/** Why a lease ends. */
export interface LeaseEnd {
  readonly kind: EndKind;
  /** One line. */
  readonly message: string;
  /** What follows for its size, when memory ran out. */
  readonly outgrown?: Outgrown | undefined;
  /** How much of the unit's losses, this one included, does not count. */
  readonly excused?: number;
}

const BLAMELESS = { counts: false, lost: false, front: false, grow: undefined } as const;

/** The fact that ends a lease, with what becomes of its unit. */
export function endLease(lease: Lease, step: StepRun, end: LeaseEnd, nowMs: number): LeaseEnded {
  const units = unitsOf(step);
  const stillHeld = units.stateOf(lease.unit) === UNIT_LEASED;
  const decides = stillHeld && decidesAboutUnit(units, lease.unit, end.kind);
  const consequence: Consequence = decides
    ? consequenceOf(lease, step, end, nowMs)
    : { ...BLAMELESS, next: { kind: 'nothing' } };
  return {
    type: 'LeaseEnded',
    token: lease.token,
    job: lease.job,
    step: lease.step,
    unit: lease.unit,
    attempt: lease.attempt,
    agentId: lease.agentId,
    kind: end.kind,
    message: messageOf(end),
    ...consequence,
    atMs: nowMs,
  };
}

function messageOf({ message, outgrown }: LeaseEnd): string {
  return outgrown === undefined || outgrown.state === 'grows'
    ? message
    : `${message}; ${outgrown.why}`;
}

function consequenceOf(
  lease: Lease,
  step: StepRun,
  { kind, outgrown, excused = 0 }: LeaseEnd,
  nowMs: number,
): Consequence {
  const units = unitsOf(step);
  const soon = { kind: 'queued', notBeforeMs: 0 } as const;
  switch (kind) {
    case 'failed':
    case 'timed-out':
    case 'stalled':
    case 'bad-output':
      return countedFailure(lease, step, nowMs);
    case 'invalid-input':
      return { ...BLAMELESS, next: { kind: 'failed' }, counts: true };
    case 'lost': {
      const agents = new Set(units.lostOn.get(lease.unit)).add(lease.agentId);
      const losses = units.lossCountOf(lease.unit) + 1 - excused;
      // The last one may be in doubt.
      const isQuarantined = losses > MAX_LOSSES - 1 && agents.size >= MIN_AGENTS_FOR_QUARANTINE;
      const next = isQuarantined ? ({ kind: 'failed' } as const) : soon;
      return { ...BLAMELESS, next, lost: true, front: true };
    }
    case 'evicted':
    case 'expired':
    case 'refused':
    case 'retracted':
    case 'cancelled':
      return { ...BLAMELESS, next: soon, front: true };
    case 'out-of-memory':
    case 'out-of-vram':
      return outOfMemory(lease, step, outgrown, nowMs);
    case 'infrastructure':
      return blameless(lease, units, nowMs, INFRASTRUCTURE_PAUSE_MS);
  }
}

function outOfMemory(
  lease: Lease,
  step: StepRun,
  outgrown: Outgrown | undefined,
  nowMs: number,
): Consequence {
  const units = unitsOf(step);
  switch (outgrown?.state) {
    case 'too-large':
      return { ...BLAMELESS, next: { kind: 'failed' } };
    case 'no-remedy':
      return countedFailure(lease, step, nowMs);
    case 'grows':
      return { ...blameless(lease, units, nowMs, 0), grow: outgrown.growth };
    case undefined:
      return blameless(lease, units, nowMs, INFRASTRUCTURE_PAUSE_MS);
  }
}

function countedFailure(lease: Lease, step: StepRun, nowMs: number): Consequence {
  const failures = unitsOf(step).failureCountOf(lease.unit) + 1;
  const isLast = failures >= step.limits.maxAttempts;
  const next = isLast ? ({ kind: 'failed' } as const) : later(failures, lease.token, nowMs);
  return { ...BLAMELESS, next, counts: true };
}

function blameless(lease: Lease, units: UnitTable, nowMs: number, pauseMs: number): Consequence {
  const isLast = units.attemptsOf(lease.unit) >= MAX_BLAMELESS_ATTEMPTS;
  const next = isLast
    ? ({ kind: 'failed' } as const)
    : ({ kind: 'queued', notBeforeMs: pauseMs === 0 ? 0 : nowMs + pauseMs } as const);
  return { ...BLAMELESS, next };
}

/** Doubling pauses with jitter; the token is the dice, so that the same history gives the same time. */
function later(failures: number, token: Token, nowMs: number): LeaseEnded['next'] {
  const pause = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), MAX_BACKOFF_MS);
  const dice = ((token % 1009) * 271) % 1000;
  return { kind: 'queued', notBeforeMs: Math.round(nowMs + pause * (0.75 + dice / 2000)) };
}
