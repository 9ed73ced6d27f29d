/**
 * The orders in which seats are offered units. Where only CPUs count, the emptiest comes first, so that work
 * is spread. Who needs a GPU or much memory is offered the smallest that could do, so that the large ones
 * stay for those who need them, and of alike ones the emptiest. Between equals the id decides, so that the same
 * farm gives the same grants.
 */
import type { Demand } from './task.ts';
import type { Seat } from './seats.ts';

/** How a class of units is offered seats. */
export type Offer = 'spread' | 'gpus' | 'memory';

/** Who needs no GPU is offered the boxes with one when those without are full: their GPUs need CPUs, too. */
const GPU_RESERVE = 1;

const COMPARE: Readonly<Record<Offer, (a: Seat, b: Seat) => number>> = {
  spread: (a, b) => spreadLoad(a) - spreadLoad(b) || compareIds(a, b),
  gpus: (a, b) =>
    a.gpuSizeGib - b.gpuSizeGib || a.gpuLoad - b.gpuLoad || a.load - b.load || compareIds(a, b),
  memory: (a, b) =>
    a.ramSizeGib - b.ramSizeGib || spreadLoad(a) - spreadLoad(b) || compareIds(a, b),
};

function spreadLoad({ load, gpuSizeGib }: Seat): number {
  return gpuSizeGib > 0 ? load + GPU_RESERVE : load;
}

function compareIds({ agent: a }: Seat, { agent: b }: Seat): number {
  return a.agentId < b.agentId ? -1 : Number(a.agentId > b.agentId);
}

/** Seats in one order. */
export class SeatOrder {
  readonly offer: Offer;
  #seats: Seat[] = [];

  constructor(offer: Offer) {
    this.offer = offer;
  }

  get size(): number {
    return this.#seats.length;
  }

  at(position: number): Seat | undefined {
    return this.#seats[position];
  }

  /** All of them anew. */
  reset(seats: readonly Seat[]): void {
    this.#seats = seats.filter((seat) => this.#takes(seat)).toSorted(COMPARE[this.offer]);
  }

  seats(): readonly Seat[] {
    return this.#seats;
  }

  /** Answers where it stands now; undefined when it has nothing for such units. */
  insert(seat: Seat): number | undefined {
    if (!this.#takes(seat)) return undefined;
    const at = this.#positionOf(seat);
    this.#seats.splice(at, 0, seat);
    return at;
  }

  /** Answers where it was; undefined when it is not among these. */
  remove(seat: Seat): number | undefined {
    const at = this.#positionOf(seat);
    if (this.#seats[at] !== seat) return undefined;
    this.#seats.splice(at, 1);
    return at;
  }

  /** Most seats stay where they are: most looks find little that changed. */
  replace(before: Seat | undefined, seat: Seat | undefined): void {
    if (before !== undefined && seat !== undefined && COMPARE[this.offer](before, seat) === 0) {
      const at = this.#positionOf(before);
      if (this.#seats[at] === before) {
        this.#seats[at] = seat;
        return;
      }
    }
    if (before !== undefined) this.remove(before);
    if (seat !== undefined) this.insert(seat);
  }

  #takes(seat: Seat): boolean {
    return this.offer !== 'gpus' || seat.gpuSizeGib > 0;
  }

  /** Where the seat is, or would be. */
  #positionOf(seat: Seat): number {
    const compare = COMPARE[this.offer];
    let low = 0;
    let high = this.#seats.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.#seats[middle];
      if (at !== undefined && compare(at, seat) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The same seats in every order that was asked for. */
export class SeatOrders {
  readonly #spread = new SeatOrder('spread');
  readonly #orders = new Map<Offer, SeatOrder>([['spread', this.#spread]]);

  of(offer: Offer): SeatOrder {
    const known = this.#orders.get(offer);
    if (known !== undefined) return known;
    const order = new SeatOrder(offer);
    order.reset(this.#spread.seats());
    this.#orders.set(offer, order);
    return order;
  }

  /** In the order in which they are offered to who needs CPUs alone. */
  seats(): readonly Seat[] {
    return this.#spread.seats();
  }

  reset(seats: readonly Seat[]): void {
    for (const order of this.#orders.values()) order.reset(seats);
  }

  replace(before: Seat | undefined, seat: Seat | undefined): void {
    for (const order of this.#orders.values()) order.replace(before, seat);
  }

  /** All of them. */
  all(): Iterable<SeatOrder> {
    return this.#orders.values();
  }
}

/** What the agents that may get units have together. */
export interface Totals {
  readonly agents: number;
  readonly cpuMillis: number;
  readonly ramBytes: number;
}

/** Memory is scarce for a class that takes a quarter of a usual box's, and more of it than of its CPUs. */
export function offerTo({ gpus, cpuMillis, ramBytes }: Demand, totals: Totals): Offer {
  if (gpus > 0) return 'gpus';
  const isLarge = ramBytes * 4 * totals.agents >= totals.ramBytes && ramBytes > 0;
  return isLarge && ramBytes * totals.cpuMillis > cpuMillis * totals.ramBytes ? 'memory' : 'spread';
}
