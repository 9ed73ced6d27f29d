/**
 * Which units go to which agents. A pass costs classes × agents where something changed, and the grants it
 * makes, never the number of units: a class that fits nowhere is left alone for the rest of the pass.
 */
import { jobOf, stepOf, unitsOf } from './find.ts';
import type { Now } from './decision.ts';
import { priceOf } from './fair-share.ts';
import type { LeasesGranted } from './facts.ts';
import type { Farm, StepRun } from './farm.ts';
import { Keeper } from './holds.ts';
import {
  freeTickets,
  take,
  unitsLeftOfFarm,
  unitsLeftOfJob,
  unitsLeftOfTickets,
} from './hold-back.ts';
import type { Liveness } from './liveness.ts';
import { LeaseGroups } from './lease-groups.ts';
import { type Look, type PassEnd, PlacementScope } from './placement-scope.ts';
import { Nearness } from './nearness.ts';
import { prefill } from './prefill.ts';
import type { ReadyByOwner, ReadyStep } from './ready-index.ts';
import { whyClosed } from './roster.ts';
import { offerTo, type SeatOrder } from './seat-orders.ts';
import { bookSeat, roomOn, type Seat } from './seats.ts';
import { readyOfClass, sizedStep } from './size.ts';
import { isUnbound, processorsByVersion, versionAt } from './uniform.ts';
import { type ClassRun, shareOfRun, type Turn, Turns } from './turns.ts';

/** Where it matters which, so many agents with room are compared for a unit. */
const MOST_LOOKS = 4;

/** The grants of a pass. */
export interface Placement extends PassEnd {
  readonly grants: readonly LeasesGranted[];
}

/** A class of units on its way through the agents. */
interface Search extends ClassRun {
  readonly seats: SeatOrder;
  /** All seats before this position have no room for the class. */
  position: number;
}

/** A step whose units are being placed. */
interface Serving {
  readonly ready: ReadyStep;
  /** As its units of this class are. */
  readonly step: StepRun;
  readonly near: Nearness | undefined;
  /** Those that were not handed out yet. */
  readonly units: Generator<number>;
}

interface Pick {
  readonly seat: Seat;
  readonly gpuIds: readonly string[];
  /** Binds the step to this version. */
  readonly pin?: string | undefined;
}

const NOTHING_PLACED: Placement = {
  grants: [],
  isWhole: true,
  noRoom: new Set(),
  isHeldBack: false,
  released: new Set(),
  keptForGpus: new Set(),
};

/**
 * Grants for whatever is ready and fits: one grant message for each agent. `look` is what the scope of the
 * passes says; without one everybody is looked at. Takes note in `liveness` of who finds no room, and of
 * which agents are kept for whom.
 */
export function place(
  farm: Farm,
  liveness: Liveness,
  now: Now,
  look: Look | undefined = new PlacementScope().look(farm, liveness, now),
): Placement {
  if (look === undefined) {
    return NOTHING_PLACED;
  }
  return new Pass(farm, liveness, now, look).run();
}

class Pass {
  readonly #farm: Farm;
  readonly #liveness: Liveness;
  readonly #now: Now;
  readonly #look: Look;
  readonly #groups = new LeaseGroups();
  readonly #searchesOf = new Map<SeatOrder, Search[]>();
  /** Every order that holds any of the seats. */
  readonly #orders: readonly SeatOrder[];
  readonly #turns: Turns<Search>;
  readonly #ticketsLeft: Map<string, number>;
  /** Steps whose turn came and went. */
  readonly #begun = new Map<ReadyStep, Serving>();
  readonly #noRoom = new Map<string, ReadyStep>();
  readonly #keeper: Keeper;
  /** Units that jobs may still get, of those with a limit. */
  readonly #leftOfJobs = new Map<number, number>();
  /** Units that may still be leased, of whatever job. */
  #leftOfFarm: number;
  #isHeldBack = false;

  constructor(farm: Farm, liveness: Liveness, now: Now, look: Look) {
    this.#farm = farm;
    this.#liveness = liveness;
    this.#now = now;
    this.#look = look;
    const searches = new Map(
      [...farm.ready.classes()].map(([key, owners]) => [key, newSearch(farm, look, key, owners)]),
    );
    for (const search of searches.values()) {
      const known = this.#searchesOf.get(search.seats);
      if (known === undefined) this.#searchesOf.set(search.seats, [search]);
      else known.push(search);
    }
    this.#orders = [...new Set([...look.everyone.all(), ...look.changed.all()])];
    this.#turns = new Turns(farm, liveness, now.monotonicMs, searches);
    this.#keeper = new Keeper(farm, liveness, now);
    this.#ticketsLeft = freeTickets(farm, liveness, now.monotonicMs);
    this.#leftOfFarm = unitsLeftOfFarm(farm, liveness);
  }

  run(): Placement {
    const groups = this.#groups;
    while (!groups.isFull && this.#leftOfFarm > 0) {
      const turn = this.#turns.next();
      if (turn === undefined) break;
      this.#serve(turn);
    }
    const { takers, everyone } = this.#look;
    const released = this.#keeper.finish(this.#noRoom, !groups.isFull, everyone.seats());
    if (this.#leftOfFarm <= 0) this.#isHeldBack = true;
    // What waits at an agent would count as what runs does.
    if (takers.length > 0 && this.#leftOfFarm === Infinity) {
      const rank = { turns: this.#turns, waiting: this.#noRoom, keeper: this.#keeper };
      prefill(this.#farm, takers, groups, rank, this.#now);
    }
    return {
      released,
      keptForGpus: this.#keeper.keptForGpus,
      grants: groups.facts(this.#farm, this.#now),
      isWhole: !groups.isFull,
      noRoom: new Set(this.#noRoom.keys()),
      isHeldBack: this.#isHeldBack || this.#turns.isAnyHeldBack,
    };
  }

  /** Places units of a step until it has no more, finds no room, or it is somebody else's turn. */
  #serve({ owner, of: search, ready, shareUntil, finish }: Turn<Search>): void {
    const serving = this.#begun.get(ready) ?? this.#begin(search, ready);
    const { step } = serving;
    const priceMillis = priceOf(step.demand);
    while (!this.#groups.isFull && this.#leftOfFarm > 0) {
      if (this.#leftOf(ready.job) <= 0) {
        this.#isHeldBack = true;
        return finish();
      }
      if (unitsLeftOfTickets(this.#ticketsLeft, step.demand) <= 0) {
        this.#isHeldBack = true;
        search.isOpen = false;
        return;
      }
      const { value: unit, done } = serving.units.next();
      if (done === true) return finish();
      const isBinding = isUnbound(step);
      const pick = isBinding
        ? this.#pickVersion(search, serving)
        : this.#pickAgent(search, serving, unit);
      if (pick === undefined) {
        // No later step of this class can fit.
        search.isOpen = false;
        this.#noRoom.set(search.classKey, ready);
        return;
      }
      this.#grant(ready, step, unit, pick);
      // The others are of another class from now on: the next pass places them.
      if (isBinding) finish();
      owner.heldMillis += priceMillis;
      owner.unitsLeft -= 1;
      if (isBinding) return;
      if (owner.unitsLeft <= 0 || shareOfRun(owner) > shareUntil) {
        this.#begun.set(ready, serving);
        return;
      }
    }
  }

  #begin(search: Search, ready: ReadyStep): Serving {
    const step = stepOf(this.#farm, ready.job, ready.step);
    const near = Nearness.of(this.#farm, this.#liveness, ready.job, step, search.seats.offer);
    const units = readyOfClass(step, search.classKey, this.#now.wallMs);
    return { ready, step: sizedStep(step, search.classKey), near, units };
  }

  #leftOf(number: number): number {
    const known = this.#leftOfJobs.get(number);
    if (known !== undefined) return known;
    const job = jobOf(this.#farm, number);
    if (job.maxUnits === 0) return Infinity;
    const left = unitsLeftOfJob(job);
    this.#leftOfJobs.set(number, left);
    return left;
  }

  #grant(ready: ReadyStep, step: StepRun, unit: number, { seat, gpuIds, pin }: Pick): void {
    this.#book(seat, step, gpuIds);
    this.#keeper.granted(seat, ready, step, gpuIds);
    const { classKey } = step;
    this.#groups.add({ ready, classKey, agent: seat.agent, gpuIds, waiting: false, pin }, unit);
    this.#leftOfFarm -= 1;
    take(this.#ticketsLeft, step.demand);
    const left = this.#leftOfJobs.get(ready.job);
    if (left !== undefined) this.#leftOfJobs.set(ready.job, left - 1);
  }

  /** Of the agents that fit the first one of the version that most processors have. */
  #pickVersion(search: Search, { ready, step }: Serving): Pick | undefined {
    const processors = processorsByVersion(step, this.#look.everyone.seats());
    let best: Pick | undefined;
    let most = 0;
    for (const pick of this.#fits(search, ready, step)) {
      const pin = versionAt(step, pick.seat);
      const count = pin === undefined ? 0 : (processors.get(pin) ?? 0);
      if (count <= most) continue;
      most = count;
      best = { ...pick, pin };
    }
    return best;
  }

  /** An agent that fits; one where the unit failed before only if there is no other. */
  #pickAgent(search: Search, { ready, step, near }: Serving, unit: number): Pick | undefined {
    const failedOn = unitsOf(step).failures.get(unit)?.agentId;
    let lastResort: Pick | undefined;
    let first: Pick | undefined;
    let best: Pick | undefined;
    let looks = 0;
    const weigh = (pick: Pick): void => {
      if (near === undefined || best === undefined) best = pick;
      else if (near.costOf(pick.seat, unit) < near.costOf(best.seat, unit)) best = pick;
    };
    for (const pick of this.#fits(search, ready, step)) {
      if (pick.seat.agent.agentId === failedOn) {
        lastResort = pick;
        continue;
      }
      if (near === undefined) return pick;
      first ??= pick;
      if (!near.isAlike(first.seat, pick.seat)) break;
      weigh(pick);
      looks += 1;
      if (looks === MOST_LOOKS) break;
    }
    const maker = near?.makerOf(unit);
    if (near === undefined || first === undefined || maker === undefined) return best ?? lastResort;
    const seat = maker === failedOn ? undefined : this.#look.seatOf(maker);
    if (seat === undefined || !near.isAlike(first.seat, seat)) return best;
    const gpuIds = this.#roomOn(seat, ready, step);
    if (gpuIds !== undefined) weigh({ seat, gpuIds });
    return best;
  }

  /** Agents with room for a unit, in the order in which they are offered to its class. */
  *#fits(search: Search, ready: ReadyStep, step: StepRun): Generator<Pick> {
    for (let position = search.position; ; position += 1) {
      const seat = search.seats.at(position);
      if (seat === undefined) return;
      const gpuIds = this.#isOpen(seat) ? roomOn(seat, step) : undefined;
      if (gpuIds === undefined) {
        // A pass only ever fills agents: nor will any other unit of this class fit here.
        if (position === search.position) search.position += 1;
      } else if (this.#keeper.allows(seat, ready, step, gpuIds)) yield { seat, gpuIds };
    }
  }

  #roomOn(seat: Seat, ready: ReadyStep, step: StepRun): readonly string[] | undefined {
    const gpuIds = this.#isOpen(seat) ? roomOn(seat, step) : undefined;
    const isAllowed = gpuIds !== undefined && this.#keeper.allows(seat, ready, step, gpuIds);
    return isAllowed ? gpuIds : undefined;
  }

  #isOpen({ agent, record }: Seat): boolean {
    return whyClosed(this.#liveness, agent, record, this.#now) === undefined;
  }

  /** Books a unit on a seat, which moves backwards in the orders that hold it. */
  #book(seat: Seat, step: StepRun, gpuIds: readonly string[]): void {
    const from = this.#orders.map((order) => order.remove(seat));
    bookSeat(seat, step, gpuIds);
    this.#orders.forEach((order, index) => {
      const left = from[index];
      const to = left === undefined ? undefined : order.insert(seat);
      if (left === undefined || to === undefined) return;
      for (const search of this.#searchesOf.get(order) ?? []) {
        // One that had no room went behind those that were not asked yet: they moved up.
        if (left < search.position && to >= search.position) search.position -= 1;
      }
    });
  }
}

function newSearch(farm: Farm, look: Look, classKey: string, owners: ReadyByOwner): Search {
  const orders = look.isExhausted(classKey) ? look.changed : look.everyone;
  const [first] = owners.values();
  const ready = first?.[0];
  const step = ready && stepOf(farm, ready.job, ready.step);
  const demand = step && sizedStep(step, classKey).demand;
  const offer = demand === undefined ? 'spread' : offerTo(demand, look.totals);
  return { classKey, seats: orders.of(offer), position: 0, isOpen: true };
}
