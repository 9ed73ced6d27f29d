/**
 * Sees a farm that stands still: units could start, and at several looks in a row nothing ran, or nothing was
 * granted where there was room. Then something is wrong that nothing else mends: placement overlooks what
 * changed, agents refuse whatever they are given, or hold room for what does not run. It says what it sees,
 * has everything offered again, and agents asked anew; that is rate-limited, for it may not be the cure.
 */
import { type AgentAnswer, openSeats } from './agent-answers.ts';
import { jobOf, stepOf, unitsOf } from './find.ts';
import type { Now } from './decision.ts';
import { roughly } from './durations.ts';
import { explainUnit } from './explain.ts';
import { wordsOf } from './explanation-words.ts';
import type { Fact } from './facts.ts';
import { type Farm, jobId, type StepRun, unitId } from './farm.ts';
import { whyHeldBack } from './hold-back.ts';
import type { Liveness } from './liveness.ts';
import { compareReady, type ReadyStep } from './ready-index.ts';
import { readyOfClass, sizedStep } from './size.ts';
import type { Seen } from './estimates.ts';
import { roomOn } from './seats.ts';

/**
 * - `overlooked`: an agent has room, and nothing is granted to anybody.
 * - `idle`: nothing runs, though an agent could run what waits: grants come to nothing, or room is held for
 *   what does not run.
 * - `no-capacity`: nothing runs, and no agent could run what waits.
 */
export type StallCause = 'overlooked' | 'idle' | 'no-capacity';

export interface Stall {
  readonly cause: StallCause;
  /** By the monotonic clock. */
  readonly sinceMs: number;
  /** Units that wait. */
  readonly units: number;
  /** The first of them. */
  readonly unitId: string;
  readonly job: string;
  /** What is said of it: `waits: no agent takes it just now`. */
  readonly why: string;
  /** Agents that could run it, but for what holds it up. */
  readonly agentIds: readonly string[];
}

/** What was noticed, and what is done about it. */
export type StallStep =
  | { readonly state: 'noticed'; readonly stall: Stall; readonly forMs: number }
  /** Growing pauses are forgotten, and placement looks at everything anew. */
  | { readonly state: 'offer-again'; readonly stall: Stall; readonly forMs: number }
  /** These agents are to say anew who they are and what they have. */
  | { readonly state: 'ask-agents'; readonly stall: Stall; readonly forMs: number }
  | { readonly state: 'over'; readonly stall: Stall; readonly forMs: number };

const LOOK_EVERY_MS = 5_000;
/** After a longer pause between looks nobody knows what was meanwhile. */
const LATE_LOOK_MS = 3 * LOOK_EVERY_MS;
/** So many classes are looked at, the first in the queue. */
const MOST_CLASSES = 16;
/** Looks between offering everything again and asking the agents. */
const LOOKS_UNTIL_ASKED = 2;
const FIRST_CURE_PAUSE_MS = 60_000;
const MOST_CURE_PAUSE_MS = 60 * 60_000;
const MOST_ASKED = 50;

/** The deeper the queue, the sooner it is odd that nothing moves. All are longer than the scope's round. */
function looksNeeded(units: number): number {
  if (units < 10) return 6;
  return units < 1_000 ? 5 : 4;
}

/** A step with units that may start, and the first of them. */
interface Head {
  readonly ready: ReadyStep;
  readonly step: StepRun;
  readonly unit: number;
}

/** Looks in a row at which something was so. */
interface Streak {
  looks: number;
  sinceMs: number;
}

export class StallWatch {
  #lastLookMs: number | undefined;
  #lastCounter = -1;
  #hasMoved = true;
  readonly #overlooked: Streak = { looks: 0, sinceMs: 0 };
  readonly #idle: Streak = { looks: 0, sinceMs: 0 };
  #stall: Stall | undefined;
  #looksSinceOffered = Infinity;
  #cures = 0;
  #nextCureMs = -Infinity;

  /** What stands still, and since when; undefined while the farm goes on. */
  get stall(): Stall | undefined {
    return this.#stall;
  }

  /** Told of every fact. */
  note(fact: Fact): void {
    if (fact.type === 'ResultsAccepted') this.#hasMoved = true;
    else if (fact.type === 'LeaseEnded' && HAD_BEGUN.has(fact.kind)) this.#hasMoved = true;
  }

  /** To be asked at every tick, while commits are taken: looks now and then, and says what is to be done. */
  look(farm: Farm, liveness: Liveness, now: Now): readonly StallStep[] {
    const nowMs = now.monotonicMs;
    const passedMs = nowMs - (this.#lastLookMs ?? -Infinity);
    if (passedMs < LOOK_EVERY_MS) return [];
    this.#lastLookMs = nowMs;
    if (passedMs > LATE_LOOK_MS) this.#startAnew(nowMs);
    const heads = headsOf(farm, liveness, now);
    const found = this.#observe(farm, liveness, heads, now);
    return this.#stepsFor(found, nowMs);
  }

  #startAnew(nowMs: number): void {
    for (const streak of [this.#overlooked, this.#idle]) extend(streak, false, nowMs);
  }

  /** The stall, once it has lasted for as many looks as it takes. */
  #observe(farm: Farm, liveness: Liveness, heads: readonly Head[], now: Now): Stall | undefined {
    const nowMs = now.monotonicMs;
    const seen: Seen = { farm, liveness, now, ...NOBODY_ELSE };
    const isIdle = heads.length > 0 && !this.#hasMoved && !isAnythingRunning(liveness);
    this.#hasMoved = false;
    const isGranting = farm.lastCounter !== this.#lastCounter;
    this.#lastCounter = farm.lastCounter;
    const head = isGranting ? undefined : headWithRoom(seen, heads);
    extend(this.#overlooked, head !== undefined, nowMs);
    extend(this.#idle, isIdle, nowMs);
    if (head === undefined && !isIdle) return undefined;
    const units = waitingUnits(farm);
    const needed = looksNeeded(units);
    if (head !== undefined && this.#overlooked.looks > needed) {
      return stallOf(seen, head, 'overlooked', { units, sinceMs: this.#overlooked.sinceMs });
    }
    const [first] = heads;
    if (first === undefined || this.#idle.looks <= needed) return undefined;
    return stallOf(seen, first, 'idle', { units, sinceMs: this.#idle.sinceMs });
  }

  #stepsFor(found: Stall | undefined, nowMs: number): StallStep[] {
    const before = this.#stall;
    this.#stall = found;
    if (found === undefined) {
      if (before === undefined) return [];
      return [{ state: 'over', stall: before, forMs: nowMs - before.sinceMs }];
    }
    const forMs = nowMs - found.sinceMs;
    const steps: StallStep[] = [];
    if (before?.cause !== found.cause) steps.push({ state: 'noticed', stall: found, forMs });
    const cure = found.cause === 'no-capacity' ? undefined : this.#cureDue(nowMs);
    if (cure !== undefined) steps.push({ state: cure, stall: found, forMs });
    return steps;
  }

  /** First everything is offered again; when that did not help, agents are asked; then a growing pause. */
  #cureDue(nowMs: number): 'offer-again' | 'ask-agents' | undefined {
    this.#looksSinceOffered += 1;
    if (this.#looksSinceOffered === LOOKS_UNTIL_ASKED) return 'ask-agents';
    if (nowMs < this.#nextCureMs) return undefined;
    if (nowMs - this.#nextCureMs > MOST_CURE_PAUSE_MS) this.#cures = 0;
    const pauseMs = Math.min(FIRST_CURE_PAUSE_MS * 2 ** this.#cures, MOST_CURE_PAUSE_MS);
    this.#cures += 1;
    this.#nextCureMs = nowMs + pauseMs;
    this.#looksSinceOffered = 0;
    return 'offer-again';
  }
}

/** Ends of leases that had begun: their agent works. */
const HAD_BEGUN: ReadonlySet<string> = new Set([
  'failed',
  'invalid-input',
  'out-of-memory',
  'out-of-vram',
  'timed-out',
  'stalled',
  'bad-output',
  'evicted',
  'infrastructure',
]);

/** A watch asks of no unit's progress, and only a leader has one. */
const NOBODY_ELSE = {
  hearsAgents: true,
  grantsNothing: undefined,
  fractionOf: () => 0,
} as const;

function extend(streak: Streak, isSo: boolean, nowMs: number): void {
  if (isSo && streak.looks === 0) streak.sinceMs = nowMs;
  streak.looks = isSo ? streak.looks + 1 : 0;
}

/** Of each class the first step with a unit that may start and that nothing holds back, in the order of the queue. */
function headsOf(farm: Farm, liveness: Liveness, now: Now): Head[] {
  if (now.monotonicMs < liveness.shared.pausedUntilMs) return [];
  const heads = [...farm.ready.classes()].flatMap(([classKey, owners]) =>
    [...owners.values()].flatMap((steps) => headOf(farm, classKey, steps, now) ?? []),
  );
  const isFree = ({ ready, step }: Head): boolean => {
    const job = jobOf(farm, ready.job);
    return whyHeldBack(farm, liveness, job, step.demand, now.monotonicMs) === undefined;
  };
  const first = heads.toSorted((a, b) => compareReady(a.ready, b.ready)).slice(0, MOST_CLASSES);
  return first.filter(isFree);
}

function headOf(
  farm: Farm,
  classKey: string,
  steps: readonly ReadyStep[],
  now: Now,
): Head | undefined {
  for (const ready of steps) {
    const step = stepOf(farm, ready.job, ready.step);
    const [unit] = readyOfClass(step, classKey, now.wallMs);
    if (unit !== undefined) return { ready, step: sizedStep(step, classKey), unit };
  }
  return undefined;
}

function headWithRoom(seen: Seen, heads: readonly Head[]): Head | undefined {
  if (heads.length === 0) return undefined;
  const seats = openSeats(seen);
  const isKept = (agentId: string, { classKey }: StepRun): boolean => {
    const hold = seen.liveness.holds.get(agentId);
    return hold !== undefined && hold.classKey !== classKey;
  };
  return heads.find(({ step }) =>
    seats.some((seat) => roomOn(seat, step) !== undefined && !isKept(seat.agent.agentId, step)),
  );
}

function isAnythingRunning({ leases }: Liveness): boolean {
  for (const { running } of leases.values()) if (running) return true;
  return false;
}

function waitingUnits(farm: Farm): number {
  let units = 0;
  for (const owners of farm.ready.classes().values()) {
    for (const { job, step } of [...owners.values()].flat()) {
      units += unitsOf(stepOf(farm, job, step)).counts.queued;
    }
  }
  return units;
}

/** Agents that could run the unit, some day. */
const ABLE: ReadonlySet<string> = new Set(['fits', 'paused', 'kept', 'busy']);

function stallOf(
  seen: Seen,
  { ready, step, unit }: Head,
  cause: 'overlooked' | 'idle',
  { units, sinceMs }: { readonly units: number; readonly sinceMs: number },
): Stall | undefined {
  const job = seen.farm.jobs.get(ready.job);
  if (job === undefined) return undefined;
  const explanation = explainUnit(seen, job, step, unit);
  const { standing } = explanation;
  const answers = standing.state === 'waiting' ? (standing.answers ?? []) : [];
  const { monotonicMs: nowMs } = seen.now;
  const isSuspended = ({ agentId }: AgentAnswer): boolean =>
    nowMs < (seen.liveness.agents.get(agentId)?.trust.suspendedUntilMs ?? 0);
  const willing = answers.filter(({ state }) => ABLE.has(state));
  const able = willing.filter((answer) => !isSuspended(answer));
  // That is told by itself, and its pause ends.
  if (willing.length > 0 && able.length === 0) return undefined;
  const nameOf = (agentId: string): string => seen.farm.agents.get(agentId)?.name ?? agentId;
  return {
    cause: able.length === 0 ? 'no-capacity' : cause,
    sinceMs,
    units,
    unitId: unitId(ready.job, step.spec.name, unit),
    job: jobId(ready.job),
    why: wordsOf(explanation, { nowWallMs: seen.now.wallMs, nameOf }).why,
    agentIds: able.slice(0, MOST_ASKED).map(({ agentId }) => agentId),
  };
}

/** One line for people. */
export function stallWarning(
  { cause, units, unitId: first, job, why, sinceMs }: Stall,
  nowMs: number,
): string {
  const count = units === 1 ? '1 unit waits' : `${units} units wait`;
  const what =
    cause === 'overlooked' ? 'nothing is granted although there is room' : 'nothing runs';
  return `${count} and ${what}, for ${roughly(nowMs - sinceMs)} now: ${first} ${why}; see furrow explain ${job}`;
}
