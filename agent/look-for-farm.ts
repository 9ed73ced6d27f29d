/** The farm that an agent joins when nobody told it where one is. */
import { FurrowError } from '../kit/furrow-error.ts';
import { findFarms, type Found } from '../kit/farm-discovery.ts';
import type { Logger } from '../kit/log.ts';
import { trustByPin } from '../kit/pin-ca.ts';
import type { AgentConfig } from './config.ts';

const LOOK_MS = 3_000;

type Way = Pick<AgentConfig, 'farm' | 'trust'>;

/**
 * All coordinators of the farm that was found, and by what they are known. FurrowError: conflict FARM_AMBIGUOUS;
 * those of trustByPin.
 */
export async function lookForFarm(config: AgentConfig, log: Logger): Promise<Way> {
  const { farm, trust, token, mdnsPort: port, mdnsInterface } = config;
  if (token === undefined) return { farm, trust };
  log.info('no farm was named: looking for one on this network');
  const network = { port, interface: mdnsInterface };
  const found = await findFarms(token, LOOK_MS, network, (message) =>
    log.debug({ message }, 'trouble while looking for a farm'),
  );
  const addresses = addressesOf(found);
  if (addresses !== undefined) {
    log.info({ farm: addresses }, 'found a farm that knows our token');
    const caSha256 = found.find(({ isProven }) => isProven)?.caSha256 ?? '';
    return {
      farm: addresses,
      trust: caSha256 === '' ? trust : await trustByPin(addresses, caSha256),
    };
  }
  for (const { address } of found) {
    log.warn({ address }, 'passed over a farm that does not prove that it knows our token');
  }
  log.info({ farm }, 'found none on this network; name one with --farm HOST:PORT');
  return { farm, trust };
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
