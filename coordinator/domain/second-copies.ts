/**
 * Second copies of stragglers. When nothing of a step is queued any more and a lease has run for far longer
 * than the step's units usually do, its unit is granted once more, on another agent; the first result wins.
 *
 * Copies take only room that nothing ready could use, and a unit has at most one. Work is bounded: the tick
 * names those leases whose time has come (`noteStraggler`), and only these are placed.
 */
import { MIN_RESULTS } from './run-times.ts';
import { jobOf, stepOf, unitsOf } from './find.ts';
import type { Now } from './decision.ts';
import { emptyBooking, fits, whenEmpty } from './demand.ts';
import type { LeasesGranted } from './facts.ts';
import type { Farm, Job, Lease, StepRun } from './farm.ts';
import {
  freeTickets,
  take,
  unitsLeftOfJob,
  unitsLeftOfOwner,
  unitsLeftOfTickets,
} from './hold-back.ts';
import type { Liveness } from './liveness.ts';
import { paceKeyOf } from './pace.ts';
import type { Look } from './placement-scope.ts';
import { whyClosed } from './roster.ts';
import { offerTo } from './seat-orders.ts';
import { bookSeat, roomOn, type Seat } from './seats.ts';
import { readyOfClass, type Size, sizedStep, sizeOfUnit } from './size.ts';
import type { Demand } from './task.ts';
import { grantNumberAfter, MAX_COUNTER, type Token, tokenOf } from './token.ts';

/** A lease is slow when it has run for so many times what is usual. */
const TIMES_USUAL = 2;
/** Below this, handing a unit over again costs as much as waiting. */
const MIN_PATIENCE_MS = 5_000;
/** A lease that does not run yet, or of whose step too little is known, is looked at so often. */
const LEARNING_MS = 5_000;
/** A straggler that got no copy is looked at again after this share of the time that it has run. */
const AGAIN_SHARE = 1 / 8;
const MIN_AGAIN_MS = 2_000;
/** More wait until they are looked at again. */
const MAX_COPIES_A_PASS = 64;
/** Of so many agents with room the quickest is taken. */
const MAX_SEATS_COMPARED = 32;

/**
 * Notes a lease that runs for so long that its unit should have a copy. Answers when to look at it again, in
 * monotonic milliseconds; Infinity when nothing but its ordinary looks is called for.
 */
export function noteStraggler(
  liveness: Liveness,
  lease: Lease,
  step: StepRun,
  nowMs: number,
): number {
  const units = unitsOf(step);
  if (units.size <= MIN_RESULTS || units.copies.has(lease.unit)) return Infinity;
  const sinceMs = liveness.leases.get(lease.token)?.runningSinceMs;
  const usualMs = liveness.runTimes.usualMs(lease.job, step);
  if (usualMs === undefined || sinceMs === undefined) return nowMs + LEARNING_MS;
  const slowFromMs = sinceMs + patienceMs(usualMs, units.attemptsOf(lease.unit) - lease.attempt);
  if (nowMs < slowFromMs) return slowFromMs;
  liveness.stragglers.add(lease.token);
  return nowMs + Math.max(MIN_AGAIN_MS, (nowMs - sinceMs) * AGAIN_SHARE);
}

/** Each copy that came to nothing doubles it: a unit that no agent is quicker with is not copied for ever. */
function patienceMs(usualMs: number, copiesBefore: number): number {
  return Math.max(MIN_PATIENCE_MS, usualMs * TIMES_USUAL) * 2 ** Math.min(copiesBefore, 16);
}

/**
 * Grants of second copies, after a pass has placed all that is ready. `seats` shows every agent as it is
 * with that pass's grants; what is booked here moves in it.
 */
export function placeCopies(
  farm: Farm,
  liveness: Liveness,
  now: Now,
  seats: Pick<Look, 'everyone' | 'totals'>,
): readonly LeasesGranted[] {
  const tokens = [...liveness.stragglers].slice(0, MAX_COPIES_A_PASS);
  liveness.stragglers.clear();
  // What is not copied now is found slow again.
  if (now.monotonicMs < liveness.shared.pausedUntilMs) return [];
  return new CopyPass(farm, liveness, now, seats).run(tokens);
}

/** Where a copy would run. */
interface Room {
  readonly seat: Seat;
  readonly gpuIds: readonly string[];
}

class CopyPass {
  readonly #farm: Farm;
  readonly #liveness: Liveness;
  readonly #now: Now;
  readonly #seats: Pick<Look, 'everyone' | 'totals'>;
  readonly #grants: LeasesGranted[] = [];
  readonly #ticketsLeft: Map<string, number>;
  /** Classes that no agent has room for. */
  readonly #noRoom = new Set<string>();
  /** What could start now if there were room for it. */
  #ready: readonly Demand[] | undefined;
  /** By agent. */
  readonly #isForOthers = new Map<string, boolean>();

  constructor(farm: Farm, liveness: Liveness, now: Now, seats: Pick<Look, 'everyone' | 'totals'>) {
    this.#farm = farm;
    this.#liveness = liveness;
    this.#now = now;
    this.#seats = seats;
    this.#ticketsLeft = freeTickets(farm, liveness, now.monotonicMs);
  }

  run(tokens: readonly Token[]): readonly LeasesGranted[] {
    for (const token of tokens) {
      const lease = this.#farm.leases.get(token);
      if (lease === undefined) continue;
      const job = jobOf(this.#farm, lease.job);
      const step = stepOf(this.#farm, lease.job, lease.step);
      const size = sizeOfUnit(step, lease.unit);
      if (!isAtTail(job, step, lease.unit) || this.#noRoom.has(size.classKey)) continue;
      if (this.#isHeldBack(job, size.demand)) continue;
      const room = this.#roomFor(lease, step, size);
      if (room !== undefined) this.#grant(lease, step, size, room);
    }
    return this.#grants;
  }

  /** Whether limits or tickets leave no place for one more unit of the job, copies of this pass included. */
  #isHeldBack(job: Job, demand: Demand): boolean {
    if (unitsLeftOfTickets(this.#ticketsLeft, demand) <= 0) return true;
    const copied = this.#grants.map((grant) => jobOf(this.#farm, grant.job));
    const ofJob = copied.filter((other) => other === job).length;
    const ofOwner = copied.filter(({ owner }) => owner === job.owner).length;
    return unitsLeftOfJob(job) <= ofJob || unitsLeftOfOwner(this.#farm, job.owner) <= ofOwner;
  }

  /** Where a fresh copy should be done first, if it should be before the lease itself. */
  #roomFor(lease: Lease, step: StepRun, size: Size): Room | undefined {
    const key = paceKeyOf(lease.job, step.spec.name);
    const usualMs = this.#liveness.runTimes.usualMs(lease.job, step) ?? Infinity;
    const failedOn = unitsOf(step).failures.get(lease.unit)?.agentId;
    const { everyone, totals } = this.#seats;
    const order = everyone.of(offerTo(size.demand, totals));
    let quickest: Room | undefined;
    let quickestMs = this.#remainingMs(lease, key);
    let compared = 0;
    for (const seat of order.seats()) {
      const gpuIds = this.#isOpen(seat) ? roomOn(seat, size) : undefined;
      if (gpuIds === undefined) continue;
      compared += 1;
      if (compared > MAX_SEATS_COMPARED) break;
      const { agentId, paces } = seat.agent;
      if (agentId === lease.agentId || agentId === failedOn || this.#isNeeded(seat)) continue;
      const runMs = paces.get(key)?.runMs ?? usualMs;
      if (runMs >= quickestMs) continue;
      quickestMs = runMs;
      quickest = { seat, gpuIds };
    }
    if (compared === 0) this.#noRoom.add(size.classKey);
    return quickest;
  }

  /**
   * What the lease still takes. Nobody knows: an agent that is known to be slow goes on at its own pace;
   * beyond that, what has taken so long may take as long again.
   */
  #remainingMs(lease: Lease, key: string): number {
    const sinceMs = this.#liveness.leases.get(lease.token)?.runningSinceMs;
    if (sinceMs === undefined) return 0;
    const ranMs = this.#now.monotonicMs - sinceMs;
    const paceMs = this.#liveness.agents.get(lease.agentId)?.paces.get(key)?.runMs ?? 0;
    return paceMs > ranMs ? paceMs - ranMs : ranMs;
  }

  /** An agent that is kept for a large unit is no place for copies. */
  #isOpen({ agent, record }: Seat): boolean {
    if (this.#liveness.holds.has(agent.agentId)) return false;
    return whyClosed(this.#liveness, agent, record, this.#now) === undefined;
  }

  /** Whether something that is ready could run there, at the latest when the agent is empty. */
  #isNeeded({ agent, capacity }: Seat): boolean {
    const known = this.#isForOthers.get(agent.agentId);
    if (known !== undefined) return known;
    const empty = whenEmpty(capacity);
    this.#ready ??= this.#demandsOfReady();
    const isNeeded = this.#ready.some(
      (demand) => fits(demand, empty, emptyBooking()).state === 'fits',
    );
    this.#isForOthers.set(agent.agentId, isNeeded);
    return isNeeded;
  }

  /** Of each class with a unit that nothing but room keeps from starting. */
  #demandsOfReady(): readonly Demand[] {
    const farm = this.#farm;
    return [...farm.ready.classes()].flatMap(([classKey, owners]): readonly Demand[] => {
      for (const { job, step: index } of [...owners.values()].flat()) {
        const step = stepOf(farm, job, index);
        const { demand } = sizedStep(step, classKey);
        if (this.#isHeldBack(jobOf(farm, job), demand)) continue;
        const { done } = readyOfClass(step, classKey, this.#now.wallMs).next();
        if (done !== true) return [demand];
      }
      return [];
    });
  }

  #grant({ job, unit }: Lease, step: StepRun, size: Size, { seat, gpuIds }: Room): void {
    const { epoch, lastCounter } = this.#farm;
    const counter = lastCounter + this.#grants.length + 1;
    if (counter > MAX_COUNTER) return;
    this.#book(seat, size, gpuIds);
    take(this.#ticketsLeft, size.demand);
    const { agentId, session, lastGrantNumber } = seat.agent;
    this.#grants.push({
      type: 'LeasesGranted',
      agentId,
      session,
      grantNumber: grantNumberAfter(lastGrantNumber, epoch),
      job,
      step: step.index,
      firstToken: tokenOf(epoch, counter),
      units: [unit],
      attempts: [unitsOf(step).attemptsOf(unit) + 1],
      gpuIds,
      waiting: false,
      copy: true,
      atMs: this.#now.wallMs,
    });
  }

  /** A seat that is fuller stands elsewhere in the orders. */
  #book(seat: Seat, size: Size, gpuIds: readonly string[]): void {
    const orders = [...this.#seats.everyone.all()];
    const holding = orders.filter((order) => order.remove(seat) !== undefined);
    bookSeat(seat, size, gpuIds);
    for (const order of holding) order.insert(seat);
  }
}

/** While units of the step are queued, room is theirs. */
function isAtTail({ paused, end }: Job, step: StepRun, unit: number): boolean {
  const { counts, copies } = unitsOf(step);
  return !paused && end === undefined && counts.queued === 0 && !copies.has(unit);
}
