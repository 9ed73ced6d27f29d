/** Tickets and owners' shares as clients are shown them: as they are at the moment, like all counts of a status. */
import type { Owner, Sharing } from '../../proto/gen/furrow/v1/farm_service.ts';
import { averageOf } from '../domain/fair-share.ts';
import type { Farm } from '../domain/farm.ts';
import type { Liveness } from '../domain/liveness.ts';
import { queuedOf, quotaOf, storedBytesOf } from '../domain/quotas.ts';
import { ownerOf } from '../domain/sharing.ts';

/** `owner`: who sees only their own; empty for whoever sees all. */
export function sharingOf(farm: Farm, liveness: Liveness, nowMs: number, owner: string): Sharing {
  const names = new Set([...farm.owners.keys(), ...farm.quotas.keys(), ...liveness.usages.keys()]);
  for (const owners of farm.ready.classes().values()) {
    for (const name of owners.keys()) names.add(name);
  }
  return {
    tickets: [...farm.tickets.values()]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, limit, used }) => ({ name, limit, used })),
    owners: [...names]
      .filter((name) => owner === '' || name === owner)
      .toSorted()
      .map((name) => ownerToWire(farm, liveness, nowMs, name)),
  };
}

function ownerToWire(farm: Farm, liveness: Liveness, nowMs: number, name: string): Owner {
  const { weight, maxUnits, leases, priceMillis } = ownerOf(farm, name);
  const averagePriceMillis = Math.round(averageOf(liveness.usages, name, priceMillis, nowMs));
  const { maxQueued, maxStoredBytes } = quotaOf(farm, name);
  const queued = maxQueued === 0 ? 0 : queuedOf(farm, name);
  const storedBytes = maxStoredBytes === 0 ? 0 : storedBytesOf(farm, name);
  const quota = { maxQueued, queued, maxStoredBytes, storedBytes };
  return { name, weight, maxUnits, leases, priceMillis, averagePriceMillis, ...quota };
}
