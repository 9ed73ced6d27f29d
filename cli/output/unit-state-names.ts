/** States of a unit as `--state` takes them; apart from the rest, for --help shows them. */
export const UNIT_STATE_NAMES = [
  'blocked',
  'queued',
  'leased',
  'accepted',
  'failed',
  'cancelled',
] as const;
export type UnitStateName = (typeof UNIT_STATE_NAMES)[number];
