/** Bugs that show where a machine's wall clock is set while the farm is at work. */
import type * as sessionStartModule from '../../agent/session-start.ts';
import type * as decideModule from '../../coordinator/domain/decide.ts';
import { bug, type PlantedBug } from './planted-bug.ts';

const HAS_SET_CLOCKS = { setsClocks: true };

export const CLOCK_BUGS: readonly PlantedBug[] = [
  bug<typeof decideModule>(
    'leases are timed by the wall clock',
    '../../coordinator/domain/decide.ts',
    ({ decide }) => {
      const offsets = new WeakMap<object, number>();
      return {
        decide: (farm, liveness, command, now) => {
          if (command.type !== 'Tick') return decide(farm, liveness, command, now);
          const offsetMs = offsets.get(liveness) ?? now.wallMs - now.monotonicMs;
          offsets.set(liveness, offsetMs);
          const monotonicMs = now.wallMs - offsetMs;
          return decide(farm, liveness, command, { ...now, monotonicMs });
        },
      };
    },
    /^(expired-while-renewed|expired-in-grace)/,
    12,
    HAS_SET_CLOCKS,
  ),
  bug<typeof sessionStartModule>(
    'a new run of an agent tells the time of a clock that was set back',
    '../../agent/session-start.ts',
    () => ({ sessionStart: (_file, wallMs) => Math.round(wallMs) }),
    /^locked-out/,
    24,
    HAS_SET_CLOCKS,
  ),
];
