/** The farm that an agent joins when nobody told it where one is. */
import { FurrowError } from '../kit/furrow-error.ts';
import { findFarms, type Found } from '../kit/farm-discovery.ts';
import type { Logger } from '../kit/log.ts';
import type { AgentConfig } from './config.ts';

const LOOK_MS = 3_000;

/** Addresses of all coordinators of a farm, with commas between. FurrowError: conflict FARM_AMBIGUOUS. */
export async function lookForFarm(config: AgentConfig, log: Logger): Promise<string> {
  const { farm, token, mdnsPort: port, mdnsInterface } = config;
  log.info('no farm was named: looking for one on this network');
  const network = { port, interface: mdnsInterface };
  const found = await findFarms(token, LOOK_MS, network, (message) =>
    log.debug({ message }, 'trouble while looking for a farm'),
  );
  const addresses = addressesOf(found);
  if (addresses !== undefined) {
    log.info({ farm: addresses }, 'found a farm that knows our token');
    return addresses;
  }
  for (const { address } of found) {
    log.warn({ address }, 'passed over a farm that does not prove that it knows our token');
  }
  log.info({ farm }, 'found none on this network; name one with --farm HOST:PORT');
  return farm;
}

/** Undefined when none proved itself. */
export function addressesOf(found: readonly Found[]): string | undefined {
  const proven = found.filter(({ isProven }) => isProven);
  const farms = new Set(proven.map(({ farmId }) => farmId));
  const addresses = proven.map(({ address }) => address).toSorted();
  if (farms.size > 1) {
    const message = `${farms.size} farms on this network have this token, at ${addresses.join(', ')}: name one with --farm HOST:PORT`;
    throw new FurrowError('conflict', 'FARM_AMBIGUOUS', message);
  }
  return addresses.length === 0 ? undefined : addresses.join(',');
}
