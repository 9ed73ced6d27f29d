/** A task's frame rate, checked: it divides, and goes into filter graphs. */
import type { FrameRate } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault } from '../film/film-fault.ts';
import type { Rate } from './timecode.ts';

const FASTEST = 120;

/** Throws FilmFault `invalid-input`. */
export function rateOf(rate: FrameRate | undefined): Rate {
  const { num = 0, den = 0 } = rate ?? {};
  const good = Number.isInteger(num) && Number.isInteger(den) && num > 0 && den > 0;
  if (good && num / den >= 1 && num / den <= FASTEST) return { num, den };
  throw new FilmFault('invalid-input', `the task has a rate of ${num}/${den} frames a second`);
}
