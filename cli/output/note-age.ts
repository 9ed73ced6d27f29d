/** Says that a list is not of now: the farm answers from what it knows to be true. */
import { formatDuration } from './format.ts';
import type { Output } from './output.ts';

export function noteAge({ note }: Pick<Output, 'note'>, ageMs: number): void {
  if (ageMs > 0)
    note(`warning: the farm as it was ${formatDuration(ageMs)} ago; see furrow status`);
}
