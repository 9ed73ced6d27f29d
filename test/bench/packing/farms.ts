/** Three ways to decide what runs where: ours, the first box that fits, and so many slots a box. */
import {
  book,
  type Booking,
  type Capacity,
  emptyBooking,
  fits,
  unbook,
} from '../../../coordinator/domain/demand.ts';
import type { Demand } from '../../../coordinator/domain/task.ts';
import type { Token } from '../../../coordinator/domain/token.ts';
import { DomainFarm } from '../domain-farm.ts';
import type { Placed, Policy } from './world.ts';
import type { Box, WorkJob, WorkUnit } from './workload.ts';

/** The domain's own placement. */
export class OurFarm implements Policy {
  readonly #farm = new DomainFarm();
  readonly #units = new Map<number, readonly WorkUnit[]>();
  readonly #tokens = new Map<Placed, Token>();

  begin(boxes: readonly Box[]): void {
    for (const { id, capacity } of boxes) this.#farm.enrol(id, capacity);
  }

  submit({ units, owner }: WorkJob): void {
    const [first] = units;
    if (first === undefined) return;
    this.#units.set(this.#farm.submit(units.length, first.demand, owner), units);
  }

  capacityChanged({ id }: Box, capacity: Capacity): void {
    this.#farm.beat(id, capacity);
  }

  /** One that was killed comes again as a job of its own: here its unit is over. */
  ended(placed: Placed, runMs: number): void {
    const token = this.#tokens.get(placed);
    const lease = token && this.#farm.farm.leases.get(token);
    if (lease === undefined) throw new Error('what ended was not leased');
    this.#tokens.delete(placed);
    this.#farm.accept(lease, runMs);
  }

  place(nowMs: number): readonly Placed[] {
    this.#farm.nowMs = nowMs;
    this.#farm.tick();
    return this.#farm.pass().grants.flatMap((grant) =>
      grant.units.flatMap((index, offset) => {
        const unit = this.#units.get(grant.job)?.[index];
        if (unit === undefined) return [];
        const placed = { unit, boxId: grant.agentId, gpuIds: grant.gpuIds };
        this.#tokens.set(placed, (grant.firstToken + offset) as Token);
        return [placed];
      }),
    );
  }
}

interface Place {
  readonly box: Box;
  capacity: Capacity;
  readonly booked: Booking;
}

/** Books what units say they need, in the order in which they came, on the first box that has it. */
export class FirstFitFarm implements Policy {
  readonly #places = new Map<string, Place>();
  #queue: WorkUnit[] = [];

  begin(boxes: readonly Box[]): void {
    for (const box of boxes) {
      this.#places.set(box.id, { box, capacity: box.capacity, booked: emptyBooking() });
    }
  }

  submit({ units }: WorkJob): void {
    this.#queue.push(...units);
  }

  capacityChanged({ id }: Box, capacity: Capacity): void {
    const place = this.#places.get(id);
    if (place !== undefined) place.capacity = capacity;
  }

  ended({ unit, boxId, gpuIds }: Placed): void {
    const place = this.#places.get(boxId);
    if (place !== undefined) unbook(place.booked, unit.demand, gpuIds);
  }

  place(): readonly Placed[] {
    const placed: Placed[] = [];
    const hopeless = new Set<Demand>();
    this.#queue = this.#queue.filter((unit) => {
      const { demand } = unit;
      if (hopeless.has(demand)) return true;
      for (const { box, capacity, booked } of this.#places.values()) {
        const fit = fits(unit.demand, capacity, booked);
        if (fit.state !== 'fits') continue;
        book(booked, unit.demand, fit.gpuIds);
        placed.push({ unit, boxId: box.id, gpuIds: fit.gpuIds });
        return false;
      }
      hopeless.add(demand);
      return true;
    });
    return placed;
  }
}

const CORES_OF_SLOT = 4;

interface Slots {
  readonly box: Box;
  free: number;
  /** Units by GPU. */
  readonly onGpu: Map<string, number>;
}

/**
 * So many units a box as it has fours of cores, whatever they need: the emptiest box first, with a GPU for who
 * wants one, two units to a card.
 */
export class SlotFarm implements Policy {
  readonly #boxes: Slots[] = [];
  #queue: WorkUnit[] = [];

  begin(boxes: readonly Box[]): void {
    for (const box of boxes) {
      const { cpuMillis, gpus } = box.capacity;
      const free = Math.max(1, Math.floor(cpuMillis / 1_000 / CORES_OF_SLOT));
      this.#boxes.push({ box, free, onGpu: new Map(gpus.map(({ id }) => [id, 0])) });
    }
  }

  submit({ units }: WorkJob): void {
    this.#queue.push(...units);
  }

  capacityChanged(): void {}

  ended({ boxId, gpuIds }: Placed): void {
    const slots = this.#boxes.find(({ box }) => box.id === boxId);
    if (slots === undefined) return;
    slots.free += 1;
    for (const id of gpuIds) slots.onGpu.set(id, (slots.onGpu.get(id) ?? 0) - 1);
  }

  place(): readonly Placed[] {
    const placed: Placed[] = [];
    const isOut = { cpu: false, gpu: false };
    this.#queue = this.#queue.filter((unit) => {
      const kind = unit.demand.gpus > 0 ? 'gpu' : 'cpu';
      if (isOut[kind]) return true;
      const pick = kind === 'gpu' ? this.#withGpu() : this.#emptiest();
      if (pick === undefined) {
        isOut[kind] = true;
        return true;
      }
      const { slots, gpuIds } = pick;
      slots.free -= 1;
      for (const id of gpuIds) slots.onGpu.set(id, (slots.onGpu.get(id) ?? 0) + 1);
      placed.push({ unit, boxId: slots.box.id, gpuIds });
      return false;
    });
    return placed;
  }

  #emptiest(): { readonly slots: Slots; readonly gpuIds: readonly string[] } | undefined {
    const [slots] = this.#boxes.filter(({ free }) => free > 0).toSorted((a, b) => b.free - a.free);
    return slots && { slots, gpuIds: [] };
  }

  #withGpu(): { readonly slots: Slots; readonly gpuIds: readonly string[] } | undefined {
    const [best] = this.#boxes
      .flatMap((slots) => [...slots.onGpu].map(([id, units]) => ({ slots, id, units })))
      .filter(({ slots, units }) => slots.free > 0 && units < 2)
      .toSorted((a, b) => a.units - b.units || b.slots.free - a.slots.free);
    return best && { slots: best.slots, gpuIds: [best.id] };
  }
}
