/**
 * Whose turn it is in a placement pass: higher priority first, then the owner with the smallest share for its
 * weight, then the job nearest to its end, the older job, and of a job the step whose units run longest. An owner's share grows with what the
 * pass grants it, so that owners take turns.
 */
import { stepOf } from './find.ts';
import { averageOf, shareOf } from './fair-share.ts';
import type { Farm } from './farm.ts';
import { unitsLeftOfOwner } from './hold-back.ts';
import type { Liveness } from './liveness.ts';
import { compareReady, type ReadyStep } from './ready-index.ts';
import type { RunTimes } from './run-times.ts';
import { ownerOf } from './sharing.ts';

/** A class of units in a pass. */
export interface ClassRun {
  readonly classKey: string;
  /** Closed: no unit of it is placed any more in this pass. */
  isOpen: boolean;
}

/** One owner's steps of a class. */
interface Queue<Class extends ClassRun> {
  readonly of: Class;
  readonly steps: readonly ReadyStep[];
  /** Position in `steps`. */
  next: number;
}

export interface OwnerRun<Class extends ClassRun> {
  readonly name: string;
  readonly weight: number;
  readonly averageMillis: number;
  heldMillis: number;
  unitsLeft: number;
  queues: Queue<Class>[];
  /** The queue whose step is first; undefined when that must be looked for. */
  first: Queue<Class> | undefined;
}

export interface Turn<Class extends ClassRun> {
  readonly owner: OwnerRun<Class>;
  readonly of: Class;
  readonly ready: ReadyStep;
  /** When the owner's share is larger, somebody else is next. */
  readonly shareUntil: number;
  /** No more units of this step in this pass. */
  readonly finish: () => void;
}

export class Turns<Class extends ClassRun> {
  readonly #owners: OwnerRun<Class>[];
  readonly #farm: Farm;
  readonly #runTimes: RunTimes;

  constructor(farm: Farm, liveness: Liveness, nowMs: number, classes: ReadonlyMap<string, Class>) {
    this.#farm = farm;
    this.#runTimes = liveness.runTimes;
    const owners = new Map<string, OwnerRun<Class>>();
    for (const [classKey, byOwner] of farm.ready.classes()) {
      const of = classes.get(classKey);
      if (of === undefined) continue;
      for (const [name, steps] of byOwner) {
        const owner = owners.get(name) ?? newOwnerRun(farm, liveness, nowMs, name);
        owners.set(name, owner);
        owner.queues.push({ of, steps, next: 0 });
      }
    }
    this.#owners = [...owners.values()];
  }

  /** Somebody may get no more units before others of theirs end. */
  get isAnyHeldBack(): boolean {
    return this.#owners.some(({ unitsLeft }) => unitsLeft <= 0);
  }

  /** Undefined when nothing is left that could be placed. */
  next(): Turn<Class> | undefined {
    let best: OwnerRun<Class> | undefined;
    let bestReady: ReadyStep | undefined;
    let shareUntil = Infinity;
    for (const owner of this.#owners) {
      const ready = this.#headOf(owner);
      if (ready === undefined) continue;
      const share = shareOfRun(owner);
      if (best === undefined || bestReady === undefined) [best, bestReady] = [owner, ready];
      else if (compareTurns(ready, share, bestReady, shareOfRun(best)) < 0) {
        shareUntil = ready.priority === bestReady.priority ? shareOfRun(best) : Infinity;
        [best, bestReady] = [owner, ready];
      } else if (ready.priority === bestReady.priority) shareUntil = Math.min(shareUntil, share);
    }
    const queue = best?.first;
    if (best === undefined || bestReady === undefined || queue === undefined) return undefined;
    const owner = best;
    const finish = (): void => {
      queue.next += 1;
      owner.first = undefined;
    };
    return { owner, of: queue.of, ready: bestReady, shareUntil, finish };
  }

  ownerOf(name: string): OwnerRun<Class> | undefined {
    return this.#owners.find((owner) => owner.name === name);
  }

  /** Which of two steps comes first, with what the pass has granted. */
  compare(a: ReadyStep, b: ReadyStep): number {
    if (a.owner === b.owner) return compareReady(a, b);
    const [ownerOfA, ownerOfB] = [this.ownerOf(a.owner), this.ownerOf(b.owner)];
    if (ownerOfA === undefined || ownerOfB === undefined) return compareReady(a, b);
    return compareTurns(a, shareOfRun(ownerOfA), b, shareOfRun(ownerOfB));
  }

  /** The owner's first step, undefined when it may get nothing more in this pass. */
  #headOf(owner: OwnerRun<Class>): ReadyStep | undefined {
    if (owner.unitsLeft <= 0) return undefined;
    const { first } = owner;
    if (first?.of.isOpen === true) return first.steps[first.next];
    owner.first = undefined;
    owner.queues = owner.queues.filter(({ of, steps, next }) => of.isOpen && next < steps.length);
    for (const queue of owner.queues) {
      const ready = queue.steps[queue.next];
      const best = owner.first?.steps[owner.first.next];
      if (ready === undefined) continue;
      if (best === undefined || this.#compareOwn(ready, best) < 0) owner.first = queue;
    }
    return owner.first?.steps[owner.first.next];
  }

  /** Of one owner's steps. */
  #compareOwn(a: ReadyStep, b: ReadyStep): number {
    const isOneJob = a.job === b.job;
    return (isOneJob ? this.#expectedMs(b) - this.#expectedMs(a) : 0) || compareReady(a, b);
  }

  /** 0 when nothing is known of the step. */
  #expectedMs({ job, step }: ReadyStep): number {
    return this.#runTimes.expectedMs(job, stepOf(this.#farm, job, step)) ?? 0;
  }
}

function newOwnerRun<Class extends ClassRun>(
  farm: Farm,
  { usages }: Liveness,
  nowMs: number,
  name: string,
): OwnerRun<Class> {
  const { weight, priceMillis } = ownerOf(farm, name);
  return {
    name,
    weight,
    averageMillis: averageOf(usages, name, priceMillis, nowMs),
    heldMillis: priceMillis,
    unitsLeft: unitsLeftOfOwner(farm, name),
    queues: [],
    first: undefined,
  };
}

export function shareOfRun(owner: OwnerRun<ClassRun>): number {
  return shareOf(owner.heldMillis, owner.averageMillis, owner.weight);
}

/** Of two owners' steps: which comes first. */
function compareTurns(a: ReadyStep, shareOfA: number, b: ReadyStep, shareOfB: number): number {
  if (a.owner === b.owner) return compareReady(a, b);
  return b.priority - a.priority || shareOfA - shareOfB || compareReady(a, b);
}
