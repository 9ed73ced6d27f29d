/** The fence: whether a token counts for its unit: one does, two while a second copy runs. */
import type { Farm } from './farm.ts';
import type { Token } from './token.ts';
import type { UnitTable } from './unit-table.ts';

export function isTokenCurrent(units: UnitTable, unit: number, token: Token): boolean {
  if (unit >= units.size) return false;
  return units.tokenOf(unit) === token || units.copies.get(unit)?.token === token;
}

/**
 * Whether the token was granted to this agent: tokens can be guessed, and an agent speaks for itself alone. One
 * that nobody holds any more is whoever's had it last.
 */
export function isGrantedTo(
  farm: Farm,
  units: UnitTable,
  unit: number,
  token: Token,
  agentId: string,
): boolean {
  const lease = farm.leases.get(token) ?? farm.lapsed.get(token);
  if (lease !== undefined) return lease.agentId === agentId;
  const number = units.tokenOf(unit) === token ? units.agentOf(unit) : 0;
  return number === 0 || farm.agents.get(agentId)?.number === number;
}
