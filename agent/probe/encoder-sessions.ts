/** How many hardware encoders may be open at once. Pure. */
import type { Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';

/** Where no driver sets a limit: more at once would only stand in one another's way. */
const MOST_SESSIONS = 32;
/** GeForce drivers have one for the whole machine, raised twice; by the version that came with it. */
const GEFORCE_LIMITS: readonly (readonly [sinceDriver: number, sessions: number])[] = [
  [550, 8],
  [530, 5],
  [0, 3],
];

/**
 * Sessions free for units, or used by them already: 0 without a hardware encoder that works. `openSessions`
 * are all that are open, `ourSessions` what running units booked.
 */
export function encoderSessionsFor(
  attributes: readonly string[],
  gpus: readonly Gpu[],
  openSessions: number,
  ourSessions: number,
): number {
  const hasNvenc = attributes.some((name) => /^encoder:\w+_nvenc$/.test(name));
  const hasOther = attributes.some((name) => /_(vaapi|qsv|videotoolbox|amf)$/.test(name));
  if (!hasNvenc) return hasOther ? MOST_SESSIONS : 0;
  const consumer = gpus.find(({ name }) => /geforce|titan/i.test(name));
  const driver = Number.parseInt(consumer?.driver ?? '', 10) || 0;
  const limit =
    consumer === undefined
      ? MOST_SESSIONS
      : (GEFORCE_LIMITS.find(([since]) => driver >= since)?.[1] ?? MOST_SESSIONS);
  return Math.max(0, limit - Math.max(0, openSessions - ourSessions));
}
