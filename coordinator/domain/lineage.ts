/**
 * Who led the farm, reign after reign. A NATS store that was restored from an older copy may have gone
 * on since, with the same epochs and sequences: what tells it from the real one is that reigns are
 * missing in it, and each has an id that no other has.
 */
import type { Farm } from './farm.ts';

export interface ReignRecord {
  readonly epoch: number;
  /** Random, lower-case hexadecimal. */
  readonly id: string;
  /** Sequence of its first commit. */
  readonly firstSequence: number;
  /** It began with a person's word that what the store lacks is given up. */
  readonly acceptsLoss: boolean;
}

/** A commit that was on disk, as somebody remembers it. */
export interface Sighting {
  readonly epoch: number;
  /** Empty when a version wrote it down that did not know of ids. */
  readonly reignId: string;
  readonly sequence: number;
}

/**
 * - `here`: the reign that was seen there wrote it here.
 * - `given-up`: it is not here, and a person has accepted that.
 * - `untold`: older than what the lineage tells of.
 * - `absent`: this is another history, or too short a one.
 */
export type Place = 'here' | 'given-up' | 'untold' | 'absent';

/** Where a sighting stands in a journal that ends at `lastSequence`. */
export function placeOf(
  { epoch, reigns }: Pick<Farm, 'epoch' | 'reigns'>,
  lastSequence: number,
  seen: Sighting,
): Place {
  if (seen.sequence <= lastSequence) {
    const reign = reignAt(reigns, seen.sequence);
    if (reign === undefined && seen.epoch < (reigns[0]?.epoch ?? epoch + 1)) return 'untold';
    const isItsId = seen.reignId === '' || seen.reignId === reign?.id;
    if (reign?.epoch === seen.epoch && isItsId) return 'here';
  }
  return reigns.some((reign) => reign.acceptsLoss && reign.epoch > seen.epoch)
    ? 'given-up'
    : 'absent';
}

/** The reign that wrote this sequence; undefined when it lies before all that are known. */
export function reignAt(reigns: readonly ReignRecord[], sequence: number): ReignRecord | undefined {
  return reigns.findLast((reign) => reign.firstSequence <= sequence);
}
