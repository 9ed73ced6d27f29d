/** The fence: whether a token counts for its unit: one does, two while a second copy runs. */
import type { Token } from './token.ts';
import type { UnitTable } from './unit-table.ts';

export function isTokenCurrent(units: UnitTable, unit: number, token: Token): boolean {
  if (unit >= units.size) return false;
  return units.tokenOf(unit) === token || units.copies.get(unit)?.token === token;
}
