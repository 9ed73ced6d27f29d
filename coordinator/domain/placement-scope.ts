/**
 * What a placement pass has to look at. A class of units that found no room anywhere finds some only where
 * something changed since: a pass over thousands of busy agents for every result that comes would cost
 * more than all else.
 *
 * Whoever knows of a change says so; what only time changes (a pause that is over) is found by a tick,
 * which has a look at a few others each time, so that nobody is forgotten.
 */
import { leasesOfJob } from './track.ts';
import type { Now } from './decision.ts';
import type { Fact } from './facts.ts';
import type { Farm } from './farm.ts';
import type { Liveness } from './liveness.ts';
import { Roster } from './roster.ts';
import { SeatOrders, type Totals } from './seat-orders.ts';
import type { Seat } from './seats.ts';

/** What one pass looks at. */
export interface Look {
  /** Every agent that may get units. */
  readonly everyone: SeatOrders;
  /** Those of them where something changed. */
  readonly changed: SeatOrders;
  readonly totals: Totals;
  readonly seatOf: (agentId: string) => Seat | undefined;
  /** Whether only those that changed can have room for units of this class. */
  readonly isExhausted: (classKey: string) => boolean;
  /** Where units may wait; none when nothing speaks for handing out any. */
  readonly takers: readonly Seat[];
}

/** How a pass ended. */
export interface PassEnd {
  /** It looked at all that it was to look at. */
  readonly isWhole: boolean;
  /** Classes that no agent of its look had room for. */
  readonly noRoom: ReadonlySet<string>;
  /** Units were held back that may start elsewhere once others of their job or owner end, or tickets are free. */
  readonly isHeldBack: boolean;
  /** Agents that were kept for units too large to find a place by chance, and are so no longer. */
  readonly released: ReadonlySet<string>;
  /** Agents that had room, but with an idle GPU, which others wait for. */
  readonly keptForGpus: ReadonlySet<string>;
}

/** Everybody is looked at once in so many ticks, whatever was not told: a few at each. */
const TICKS_PER_ROUND = 60;

export class PlacementScope {
  readonly #roster = new Roster();
  /** Classes that were looked at everywhere: they have no room, or nothing to hand out yet. */
  #tried: ReadonlySet<string> = new Set();
  /** Those of them that have no room. */
  #exhausted: ReadonlySet<string> = new Set();
  #changed = new Set<string>();
  /** Agents that got something: they are fuller, and offer nothing new but a place to wait. */
  readonly #fuller = new Set<string>();
  #hasEverythingChanged = true;
  #isRosterOld = true;
  #isHeldBack = false;
  #keptForGpus: ReadonlySet<string> = new Set();
  /** Classes that found no room when agents were kept for GPUs. */
  #hungry: ReadonlySet<string> = new Set();
  #isTick = false;
  /** Those whose turn comes in this round of looks. */
  #round: Iterator<string> = [].values();

  markAgent(agentId: string): void {
    this.#changed.add(agentId);
  }

  markAll(): void {
    this.#hasEverythingChanged = true;
    this.#isRosterOld = true;
  }

  /** Time has passed: pauses end, and units that were put off may start. */
  markTick(liveness: Liveness, nowMs: number): void {
    this.#isTick = true;
    for (const agentId of this.#roster.endPauses(nowMs)) this.markAgent(agentId);
    for (let left = Math.ceil(liveness.agents.size / TICKS_PER_ROUND); left > 0; left -= 1) {
      const { value, done } = this.#round.next();
      if (done === true) {
        this.#round = liveness.agents.keys();
        return;
      }
      this.markAgent(value);
    }
  }

  /**
   * What a fact frees, or opens; told before the fact is applied. Queued units are not its business: their
   * classes tell.
   */
  note(farm: Farm, fact: Fact): void {
    switch (fact.type) {
      case 'LeasesGranted':
        // Its GPU may be idle no longer: what is left beside it is for everybody.
        if (this.#keptForGpus.has(fact.agentId)) this.markAgent(fact.agentId);
        else this.#fuller.add(fact.agentId);
        return;
      case 'LeaseEnded':
      case 'ResultsAccepted':
        this.markAgent(fact.agentId);
        this.#letGo();
        return;
      case 'LeaseResumed':
      case 'AgentDrainChanged':
        this.markAgent(fact.agentId);
        return;
      case 'JobCancelled':
      case 'JobEnded':
        for (const { agentId } of leasesOfJob(farm, fact.job)) this.markAgent(agentId);
        this.#letGo();
        return;
      case 'TicketsSet':
      case 'OwnerSet':
        this.#letGo();
        return;
      case 'JobSubmitted':
      case 'UnitsCreated':
      case 'JobResumed':
        // What was put off must not hold up what is new of its class.
        this.#tried = this.#exhausted;
        return;
      case 'EpochStarted':
        this.markAll();
        return;
      default:
    }
  }

  /** Undefined when there is nothing to place, or nothing that could have room. */
  look(farm: Farm, liveness: Liveness, now: Now): Look | undefined {
    const classes = farm.ready.classes();
    if (classes.size === 0 || now.monotonicMs < liveness.shared.pausedUntilMs) return undefined;
    if ([...this.#hungry].some((classKey) => !isHungry(farm, liveness, classKey))) {
      for (const agentId of this.#keptForGpus) this.markAgent(agentId);
      this.#hungry = new Set();
    }
    const isNew = [...classes.keys()].some((key) => !this.#tried.has(key));
    const isDue = isNew || this.#isTick || this.#hasEverythingChanged;
    // Some may wait behind what was granted last: only now is there a slot to wait for.
    const told = [...this.#changed, ...this.#fuller];
    if (!isDue && told.length === 0) return undefined;
    const changed = this.#refresh(farm, liveness, now);
    const known = this.#known;
    const isHandingOut = isDue || told.some((agentId) => this.#roster.isQuick(agentId));
    if (!isHandingOut && this.#changed.size === 0) return undefined;
    return {
      everyone: this.#roster.orders,
      changed,
      totals: this.#roster.totals,
      seatOf: (agentId) => this.#roster.seatOf(agentId),
      isExhausted: (classKey) => known.has(classKey),
      takers: isHandingOut ? this.#roster.quickSeats(liveness, now) : [],
    };
  }

  /** Every agent as it is now, for who places beside the passes: it is told nothing of what to look at. */
  seats(farm: Farm, liveness: Liveness, now: Now): Pick<Look, 'everyone' | 'totals'> {
    if (this.#isRosterOld) this.#roster.reset(farm, liveness, now);
    else {
      for (const agentId of new Set([...this.#changed, ...this.#fuller])) {
        this.#roster.reseat(farm, liveness, now, agentId);
      }
    }
    this.#isRosterOld = false;
    return { everyone: this.#roster.orders, totals: this.#roster.totals };
  }

  /** A pass is over and its grants are applied. */
  done(farm: Farm, { isWhole, noRoom, isHeldBack, released, keptForGpus }: PassEnd): void {
    this.#noteKept(noRoom, keptForGpus);
    if (!isWhole) {
      for (const agentId of released) this.markAgent(agentId);
      return;
    }
    this.#isHeldBack = isHeldBack;
    const [known, exhausted] = [this.#known, this.#exhausted];
    // Where only those that changed were asked, others may have room.
    const isSure = (key: string): boolean =>
      this.#hasEverythingChanged || !known.has(key) || exhausted.has(key);
    this.#exhausted = new Set([...noRoom].filter(isSure));
    this.#tried = new Set(farm.ready.classes().keys());
    this.#changed = new Set(released);
    this.#hasEverythingChanged = false;
    this.#isTick = false;
  }

  /** Of agents that were not looked at this time, what was found before still holds. */
  #noteKept(noRoom: ReadonlySet<string>, keptForGpus: ReadonlySet<string>): void {
    const isSeen = (agentId: string): boolean =>
      this.#hasEverythingChanged || this.#changed.has(agentId);
    const before = [...this.#keptForGpus].filter((agentId) => !isSeen(agentId));
    this.#keptForGpus = new Set([...before, ...keptForGpus]);
    const hungry = this.#keptForGpus.size > 0 ? [...this.#hungry, ...noRoom] : [];
    this.#hungry = new Set(hungry);
  }

  /** What was held back may start anywhere, not only where something ended. */
  #letGo(): void {
    if (this.#isHeldBack) this.#tried = this.#exhausted;
  }

  /** Classes that need not be looked for everywhere now. */
  get #known(): ReadonlySet<string> {
    return this.#isTick ? this.#exhausted : this.#tried;
  }

  /** Brings the roster up to date. Answers the seats where something changed. */
  #refresh(farm: Farm, liveness: Liveness, now: Now): SeatOrders {
    const roster = this.#roster;
    if (this.#isRosterOld) {
      roster.reset(farm, liveness, now);
      this.#isRosterOld = false;
      this.#fuller.clear();
    }
    for (const agentId of this.#fuller) roster.reseat(farm, liveness, now, agentId);
    this.#fuller.clear();
    const seats = [...this.#changed].flatMap(
      (agentId) => roster.reseat(farm, liveness, now, agentId) ?? [],
    );
    if (this.#hasEverythingChanged) return roster.orders;
    const changed = new SeatOrders();
    changed.reset(seats);
    return changed;
  }
}

/** It still waits, and room is all that it waits for. */
function isHungry(farm: Farm, { hunger }: Liveness, classKey: string): boolean {
  return hunger.has(classKey) && farm.ready.classes().has(classKey);
}
