/** What was said of an owner's limits. Apart from what they mean, which rests on the fold. */
import type { Farm } from './farm.ts';

export interface Quota {
  /** Units that wait, of all jobs; 0 for no limit. */
  readonly maxQueued: number;
  /** Inputs and outputs of jobs, each blob once; 0 for no limit. */
  readonly maxStoredBytes: number;
}

export function setQuota(farm: Farm, name: string, { maxQueued, maxStoredBytes }: Quota): void {
  if (maxQueued === 0 && maxStoredBytes === 0) farm.quotas.delete(name);
  else farm.quotas.set(name, { maxQueued, maxStoredBytes });
}
