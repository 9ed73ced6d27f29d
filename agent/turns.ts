/**
 * Leases that take turns: those of one demand and the same GPUs. So many of them may run at once as the
 * coordinator has booked; the others wait, in the order granted. Knows nothing of why a lease leaves.
 */
import type { Demand } from '../proto/gen/furrow/v1/step.ts';
import type { Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

interface Slot {
  /** So many may run at once. */
  places: number;
  /** So many run, or are being ended. */
  taken: number;
  /** So many wait. */
  left: number;
  /** From `head` on; some do not wait any more. */
  queue: Assignment[];
  head: number;
}

/** What decides who begins. */
export interface MayBegin {
  /** Whether the lease still waits. */
  readonly waits: (assignment: Assignment) => boolean;
  /** Whether it fits beside what runs. */
  readonly fits: (assignment: Assignment, beside: readonly Demand[]) => boolean;
}

/** What a queue may carry of those that are gone before it is cut. */
const KEPT_BEHIND = 256;

export class Turns {
  readonly #slots = new Map<string, Slot>();
  /** What the units that run demand, or that are being ended. */
  readonly #inUse = new Map<TokenKey, Demand>();

  /** `places`: as the latest grant says; one at least, for who is granted a lease may run it. */
  queue(assignment: Assignment, places: number): void {
    const known = this.#slots.get(assignment.slotKey);
    const slot = known ?? { places, taken: 0, left: 0, queue: [], head: 0 };
    if (known === undefined) this.#slots.set(assignment.slotKey, slot);
    slot.places = Math.max(1, places);
    slot.queue.push(assignment);
    slot.left += 1;
  }

  /** It has begun and is gone, or waits no more. */
  leave(key: TokenKey, { slotKey }: Assignment): void {
    const slot = this.#slots.get(slotKey);
    if (slot === undefined) return;
    if (this.#inUse.delete(key)) slot.taken -= 1;
    else slot.left -= 1;
    if (slot.taken === 0 && slot.left === 0) this.#slots.delete(slotKey);
  }

  /** The next one whose turn it is and that fits: it has begun. Null when there is none. */
  begin({ waits, fits }: MayBegin): Assignment | null {
    let beside: readonly Demand[] | null = null;
    for (const slot of this.#slots.values()) {
      if (slot.taken >= slot.places) continue;
      const assignment = firstOf(slot, waits);
      if (assignment === undefined) continue;
      beside ??= [...this.#inUse.values()];
      if (!fits(assignment, beside)) continue;
      slot.head += 1;
      slot.left -= 1;
      slot.taken += 1;
      this.#inUse.set(tokenKey(assignment.token), assignment.demand);
      return assignment;
    }
    return null;
  }
}

/** The first that still waits; those before it are gone from the queue. */
function firstOf(slot: Slot, waits: MayBegin['waits']): Assignment | undefined {
  if (slot.head > KEPT_BEHIND && slot.head * 2 > slot.queue.length) {
    slot.queue = slot.queue.slice(slot.head);
    slot.head = 0;
  }
  for (; slot.head < slot.queue.length; slot.head += 1) {
    const assignment = slot.queue[slot.head];
    if (assignment !== undefined && waits(assignment)) return assignment;
  }
  return undefined;
}
