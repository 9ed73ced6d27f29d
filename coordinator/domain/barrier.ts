/** Which commit an answer rests on: nothing is said outward before it is on disk. */
import type { Barrier } from './commands.ts';

/** What the single writer has on its way to the journal. */
export interface Underway {
  /** Facts are decided that wait for the next append. */
  readonly isOpen: boolean;
  /** An append is without its outcome. */
  readonly isInFlight: boolean;
}

/** `none`: everything that was decided is on disk. */
export function commitToAwait(barrier: Barrier, underway: Underway): 'next' | 'in-flight' | 'none' {
  if (barrier === 'fresh' || underway.isOpen) return 'next';
  return underway.isInFlight ? 'in-flight' : 'none';
}
