/** The fence: whether a token is the one that counts for its unit. */
import type { Token } from './token.ts';
import type { UnitTable } from './unit-table.ts';

export function isTokenCurrent(units: UnitTable, unit: number, token: Token): boolean {
  return unit < units.size && units.tokenOf(unit) === token;
}
