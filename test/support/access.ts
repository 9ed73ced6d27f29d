/** A farm that knows its own token and nobody else. */
import { type Access, farmAccess } from '../../coordinator/access.ts';
import { emptyFarm } from '../../coordinator/domain/farm.ts';

export function tokenAccess(farmToken: string): Access {
  return farmAccess({ farmToken, farm: emptyFarm(), wallMs: () => 0, reachEnd });
}

/** There is nothing to read. */
const reachEnd = (): Promise<void> => Promise.resolve();
