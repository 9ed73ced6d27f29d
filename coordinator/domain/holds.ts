/**
 * Places that are kept for units too large to find one by chance. A class that found no room for a while, but
 * would fit an agent with nothing on it, gets the agent that is free soonest: others of no higher priority get
 * what it does not need there, or what they will have given back by then. Shares and the order of jobs count less
 * than that: by them alone it might wait for ever.
 *
 * Soft: a coordinator that takes over begins to count anew.
 */
import { stepOf } from './find.ts';
import type { Now } from './decision.ts';
import { book, type Booking, copyOf, emptyBooking, fits } from './demand.ts';
import { type Farm, type StepRun, jobId } from './farm.ts';
import type { Liveness } from './liveness.ts';
import type { ReadyStep } from './ready-index.ts';
import { gpuKeptFor } from './gpu-reserve.ts';
import { whyClosed } from './roster.ts';
import type { Seat } from './seats.ts';
import { sizedStep } from './size.ts';
import type { Demand } from './task.ts';

/** Who found no room for so long is given an agent. */
export const HUNGRY_MS = 60_000;
/** When none would do, it is looked for again so much later. */
const LOOK_AGAIN_MS = 10_000;
/** Of so many agents at most one is kept. */
const AGENTS_FOR_EACH = 8;

/** A class that finds no room. */
export interface Hunger {
  readonly demand: Demand;
  readonly priority: number;
  /** The step that waits, for words. */
  readonly waits: string;
  readonly sinceMs: number;
  lookedMs: number;
}

/** An agent that is kept for a class of units. */
export interface Hold {
  readonly classKey: string;
  readonly demand: Demand;
  readonly priority: number;
  /** What was let in since, and must fit beside a unit of the class. */
  readonly beside: Booking;
  readonly sinceMs: number;
  /** The step that waits, for words. */
  readonly waits: string;
}

/** What a pass does about holds. */
export class Keeper {
  readonly #farm: Farm;
  readonly #liveness: Liveness;
  readonly #now: Now;
  /** When each agent that is kept has nothing left of what it runs now; filled as it is asked for. */
  readonly #freeAtMs = new Map<string, number>();
  readonly #released = new Set<string>();
  /** Agents that units were kept from which need no GPU. */
  readonly #keptForGpus = new Set<string>();

  constructor(farm: Farm, liveness: Liveness, now: Now) {
    this.#farm = farm;
    this.#liveness = liveness;
    this.#now = now;
    for (const [agentId, hold] of liveness.holds) {
      if (!isOfUse(farm, liveness, now, agentId, hold)) this.#release(agentId);
    }
    const classes = farm.ready.classes();
    for (const classKey of liveness.hunger.keys()) {
      if (!classes.has(classKey)) liveness.hunger.delete(classKey);
    }
  }

  /** Whether a unit of the step may go where it fits. */
  allows(seat: Seat, ready: ReadyStep, step: StepRun, gpuIds: readonly string[]): boolean {
    const { agentId } = seat.agent;
    if (!this.isKept(agentId, ready, step.classKey)) return this.#leavesGpuRoom(seat, ready, step);
    if (this.#endsBefore(agentId, ready.job, step)) return true;
    const hold = this.#liveness.holds.get(agentId);
    if (hold !== undefined && !fitsBeside(hold, seat, step.demand, gpuIds)) return false;
    return this.#leavesGpuRoom(seat, ready, step);
  }

  #leavesGpuRoom(seat: Seat, { priority }: ReadyStep, { classKey, demand }: StepRun): boolean {
    const { hunger, holds } = this.#liveness;
    const { agentId } = seat.agent;
    if (gpuKeptFor(hunger, seat, demand, priority) === undefined) return true;
    if (holds.get(agentId)?.classKey === classKey) return true;
    this.#keptForGpus.add(agentId);
    return false;
  }

  /** Agents that are kept for units that need a GPU: when those are there no more, others have room. */
  get keptForGpus(): ReadonlySet<string> {
    return this.#keptForGpus;
  }

  /** Whether an agent is kept for others than this step of the class. */
  isKept(agentId: string, { priority }: ReadyStep, classKey: string): boolean {
    const hold = this.#liveness.holds.get(agentId);
    if (hold === undefined || hold.classKey === classKey) return false;
    return priority <= hold.priority;
  }

  /** A unit was given a seat. */
  granted(seat: Seat, { job }: ReadyStep, step: StepRun, gpuIds: readonly string[]): void {
    const { hunger, holds } = this.#liveness;
    if (hunger.size === 0) return;
    hunger.delete(step.classKey);
    for (const [agentId, hold] of holds)
      if (hold.classKey === step.classKey) this.#release(agentId);
    const { agentId } = seat.agent;
    const hold = holds.get(agentId);
    if (hold === undefined || this.#endsBefore(agentId, job, step)) return;
    book(hold.beside, step.demand, gpuIds);
  }

  /** The pass is over: who found no room for long gets an agent. Answers those that are kept no longer. */
  finish(
    noRoom: ReadonlyMap<string, ReadyStep>,
    isWhole: boolean,
    seats: readonly Seat[],
  ): ReadonlySet<string> {
    const { hunger, holds } = this.#liveness;
    const nowMs = this.#now.monotonicMs;
    if (isWhole) this.#forgetSated(noRoom);
    const kept = new Set([...holds.values()].map(({ classKey }) => classKey));
    for (const [classKey, ready] of noRoom) {
      const known = hunger.get(classKey) ?? this.#newHunger(classKey, ready);
      hunger.set(classKey, known);
      if (kept.has(classKey) || nowMs - known.sinceMs < HUNGRY_MS) continue;
      if (nowMs - known.lookedMs < LOOK_AGAIN_MS) continue;
      known.lookedMs = nowMs;
      this.#hold(classKey, known, seats);
    }
    return this.#released;
  }

  #newHunger(classKey: string, { job, step, priority }: ReadyStep): Hunger {
    const { demand, spec } = sizedStep(stepOf(this.#farm, job, step), classKey);
    const nowMs = this.#now.monotonicMs;
    const waits = `${jobId(job)}/${spec.name}`;
    return { demand, priority, waits, sinceMs: nowMs, lookedMs: nowMs };
  }

  /** Whoever was not refused room may not start, or not yet: nothing is kept for it. */
  #forgetSated(noRoom: ReadonlyMap<string, ReadyStep>): void {
    const { hunger, holds } = this.#liveness;
    for (const classKey of hunger.keys()) if (!noRoom.has(classKey)) hunger.delete(classKey);
    for (const [agentId, { classKey }] of holds) if (!noRoom.has(classKey)) this.#release(agentId);
  }

  #hold(classKey: string, hungry: Hunger, seats: readonly Seat[]): void {
    const { holds } = this.#liveness;
    const { demand, priority, sinceMs, waits } = hungry;
    if (holds.size >= Math.max(1, Math.floor(seats.length / AGENTS_FOR_EACH))) return;
    const able = seats.filter(
      ({ agent, record, capacity }) =>
        !holds.has(agent.agentId) &&
        whyClosed(this.#liveness, agent, record, this.#now) === undefined &&
        fits(demand, capacity, emptyBooking()).state === 'fits',
    );
    let soonest: { readonly agentId: string; readonly atMs: number } | undefined;
    for (const { agent } of able) {
      const atMs = freeAtMs(this.#farm, this.#liveness, agent.agentId);
      if (soonest !== undefined && atMs >= soonest.atMs) continue;
      soonest = { agentId: agent.agentId, atMs };
    }
    if (soonest === undefined) return;
    const beside = emptyBooking();
    holds.set(soonest.agentId, { classKey, demand, priority, beside, sinceMs, waits });
  }

  /** Whether a unit that begins now ends before what the agent runs already. */
  #endsBefore(agentId: string, job: number, step: StepRun): boolean {
    const runMs = this.#liveness.runTimes.expectedMs(job, step);
    if (runMs === undefined) return false;
    const freeAt = this.#freeAtMs.get(agentId) ?? freeAtMs(this.#farm, this.#liveness, agentId);
    this.#freeAtMs.set(agentId, freeAt);
    if (freeAt === Infinity) return false;
    return this.#now.monotonicMs + runMs <= freeAt;
  }

  #release(agentId: string): void {
    this.#liveness.holds.delete(agentId);
    this.#freeAtMs.delete(agentId);
    this.#released.add(agentId);
  }
}

/** Why an agent is kept from a class of units, in words; undefined when it is not. */
export function whyKept(
  liveness: Liveness,
  agentId: string,
  classKey: string,
  nowMs: number,
): string | undefined {
  const hold = liveness.holds.get(agentId);
  if (hold === undefined || hold.classKey === classKey) return undefined;
  const minutes = Math.floor((nowMs - hold.sinceMs) / 60_000);
  return `is kept for ${hold.waits}, which has found no room for ${minutes} min`;
}

/** The class still waits, and the agent could still take a unit of it. */
function isOfUse(
  farm: Farm,
  liveness: Liveness,
  now: Now,
  agentId: string,
  { classKey, demand }: Hold,
): boolean {
  const agent = liveness.agents.get(agentId);
  const record = farm.agents.get(agentId);
  if (agent?.capacity === undefined || record === undefined) return false;
  if (!farm.ready.classes().has(classKey)) return false;
  if (whyClosed(liveness, agent, record, now) !== undefined) return false;
  return fits(demand, agent.capacity, emptyBooking()).state === 'fits';
}

function fitsBeside(hold: Hold, seat: Seat, demand: Demand, gpuIds: readonly string[]): boolean {
  const beside = copyOf(hold.beside);
  book(beside, demand, gpuIds);
  return fits(hold.demand, seat.capacity, beside).state === 'fits';
}

/** When all that an agent runs will have ended; Infinity when that is not known of something. */
function freeAtMs(farm: Farm, liveness: Liveness, agentId: string): number {
  let lastMs = 0;
  for (const token of farm.agents.get(agentId)?.leases ?? []) {
    const lease = farm.leases.get(token);
    if (lease === undefined) continue;
    const runMs = liveness.runTimes.expectedMs(lease.job, stepOf(farm, lease.job, lease.step));
    const sinceMs = liveness.leases.get(token)?.sinceMs;
    if (runMs === undefined || sinceMs === undefined) return Infinity;
    lastMs = Math.max(lastMs, sinceMs + runMs);
  }
  return lastMs;
}
