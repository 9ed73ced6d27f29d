/**
 * Looks at the farm now and then: whether it holds together, whether something waits that has had room for
 * hours, and how many GPUs are idle while work for them waits.
 */
import { stepOf } from '../../../coordinator/domain/find.ts';
import { checkBookings, checkFarm } from '../../../coordinator/domain/check-farm.ts';
import { emptyBooking, fits, usableVramBytes } from '../../../coordinator/domain/demand.ts';
import type { Farm } from '../../../coordinator/domain/farm.ts';
import type { Liveness } from '../../../coordinator/domain/liveness.ts';
import { readyOfClass, sizedStep } from '../../../coordinator/domain/size.ts';
import type { Demand } from '../../../coordinator/domain/task.ts';
import type { Box } from './box.ts';

/** A machine as it is seen from outside. */
type SeenBox = Pick<Box, 'id' | 'isSound' | 'capacity' | 'booking'>;

/** The pauses of an agent that is not trusted are over by then, however they grow. */
const STARVED_MS = 6 * 60 * 60 * 1000;

const NOTHING = emptyBooking();

/** A class of which something waits. */
interface Waiting {
  readonly classKey: string;
  readonly demand: Demand;
  readonly job: number;
}

export class YearSamples {
  readonly #boxes: readonly SeenBox[];
  readonly #complain: (what: string) => void;
  /** By class: boxes that have had room for it ever since. */
  readonly #room = new Map<
    string,
    { readonly sinceMs: number; readonly boxes: readonly SeenBox[] }
  >();
  #gpusWanted = 0;
  #gpusIdle = 0;

  constructor(boxes: readonly SeenBox[], complain: (what: string) => void) {
    this.#boxes = boxes;
    this.#complain = complain;
  }

  /** GPUs without a unit, of those that could run something that has waited for a while; over all looks. */
  get gpuIdleShare(): number {
    return this.#gpusWanted === 0 ? 0 : this.#gpusIdle / this.#gpusWanted;
  }

  checkWhole(farm: Farm, liveness: Liveness): void {
    const faults = [...checkFarm(farm), ...checkBookings(farm, liveness)];
    for (const fault of faults) this.#complain(fault);
  }

  look(farm: Farm, nowMs: number, wallMs: number): void {
    const waiting = waitingClasses(farm, wallMs);
    const sound = this.#boxes.filter(({ isSound }) => isSound);
    // What came a moment ago waits for the next tick.
    const old = waiting.filter(({ classKey }) => this.#room.has(classKey));
    this.#countGpus(
      old.filter(({ demand }) => demand.gpus > 0),
      sound,
    );
    for (const classKey of this.#room.keys()) {
      if (!waiting.some((other) => other.classKey === classKey)) this.#room.delete(classKey);
    }
    for (const entry of waiting) this.#lookForRoom(entry, sound, nowMs);
  }

  #lookForRoom({ classKey, demand, job }: Waiting, sound: readonly SeenBox[], nowMs: number): void {
    const before = this.#room.get(classKey);
    const now = sound.filter((box) => fits(demand, box.capacity, box.booking).state === 'fits');
    const still = before?.boxes.filter((box) => now.includes(box)) ?? [];
    if (before === undefined || still.length === 0) {
      this.#room.set(classKey, { sinceMs: nowMs, boxes: now });
      return;
    }
    this.#room.set(classKey, { sinceMs: before.sinceMs, boxes: still });
    if (nowMs - before.sinceMs < STARVED_MS) return;
    const hours = ((nowMs - before.sinceMs) / 3_600_000).toFixed(1);
    this.#complain(
      `units as those of j${job} have waited for ${hours} h while ${still[0]?.id} had room for one all the time`,
    );
    this.#room.delete(classKey);
  }

  #countGpus(waiting: readonly Waiting[], sound: readonly SeenBox[]): void {
    for (const { capacity, booking } of sound) {
      const wanted = waiting.filter(
        ({ demand }) => fits(demand, capacity, NOTHING).state === 'fits',
      );
      const least = Math.min(...wanted.map(({ demand }) => demand.vramBytes));
      for (const gpu of capacity.gpus) {
        if (usableVramBytes(gpu) < least) continue;
        this.#gpusWanted += 1;
        if (!booking.vramBytes.has(gpu.id)) this.#gpusIdle += 1;
      }
    }
  }
}

function waitingClasses(farm: Farm, wallMs: number): Waiting[] {
  return [...farm.ready.classes()].flatMap(([classKey, owners]): Waiting[] => {
    for (const { job, step: index } of [...owners.values()].flat()) {
      const step = stepOf(farm, job, index);
      const isDue = readyOfClass(step, classKey, wallMs).next().done !== true;
      if (isDue) return [{ classKey, job, demand: sizedStep(step, classKey).demand }];
    }
    return [];
  });
}
