/** Planted in what decides about second copies of units. */
import type * as copyRaceModule from '../../coordinator/domain/copy-race.ts';
import type * as fenceModule from '../../coordinator/domain/fence.ts';
import { bug, type PlantedBug } from './planted-bug.ts';

export const COPY_BUGS: readonly PlantedBug[] = [
  bug<typeof copyRaceModule>(
    "a second copy's expiry queues the unit again",
    '../../coordinator/domain/copy-race.ts',
    () => ({ decidesAboutUnit: () => true }),
    // Or what it does to the farm, before it is stored: the unit is queued, and its other lease goes on.
    /^(decided-beside-copy: .* by the end of|farm-inconsistent: .*(in state 0|has a copy))/,
    40,
  ),
  bug<typeof copyRaceModule>(
    "the first copy's result leaves the other one's lease",
    '../../coordinator/domain/copy-race.ts',
    () => ({ beatenBy: () => [] }),
    /^(decided-beside-copy: .* is accepted, and|farm-inconsistent: .*(in state 2|has a copy))/,
    12,
  ),
  bug<typeof fenceModule>(
    "a second copy's result is stale",
    '../../coordinator/domain/fence.ts',
    () => ({
      isTokenCurrent: (units, unit, token) => unit < units.size && units.tokenOf(unit) === token,
    }),
    /^destroyed-without-proof: STALE/,
    12,
  ),
];
