/**
 * Where a farm is and by what it is known, from what a person said or from what this machine knows: the same
 * for clients and agents.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FurrowError, messageOf } from './furrow-error.ts';
import { type FurrowHome, readFarmFile } from './furrow-home.ts';
import { isFarmUrl, parseFarmAddress, parseFarmUrl } from './farm-url.ts';
import { FARM_CA_NAME, FARM_SERVER_NAME, isLoopback, PLAINTEXT, type Trust } from './trust.ts';

export const DEFAULT_FARM = '127.0.0.1:7400';

export interface FarmWay {
  /** HOST:PORT; of several coordinators, with commas between. */
  readonly address: string;
  readonly trust: Trust;
  /** What a URL brought. */
  readonly token: string | undefined;
}

export interface WayOptions {
  /** HOST:PORT[,HOST:PORT], or a farm's URL. Undefined: this machine's farm. */
  readonly named: string | undefined;
  /** No TLS, on this machine only. */
  readonly plaintext: boolean;
  /** PEM file of the authority to believe. */
  readonly caFile: string | undefined;
  readonly home: FurrowHome;
}

/**
 * A URL's authority is asked for over the network. FurrowError: invalid FARM_ADDRESS_MALFORMED,
 * FARM_URL_MALFORMED, CA_FILE_UNREADABLE; failed-precondition PLAINTEXT_NOT_ALLOWED; those of readFarmFile and
 * trustByPin.
 */
export async function wayToFarm(options: WayOptions): Promise<FarmWay> {
  const { named, plaintext, home } = options;
  if (named !== undefined && isFarmUrl(named)) {
    const { address, caSha256, token } = parseFarmUrl(named);
    if (caSha256 === undefined) return { address, trust: await trustOf(options, address), token };
    // Loaded when it is needed: most commands know whom to believe.
    const { trustByPin } = await import('./pin-ca.ts');
    return { address, trust: await trustByPin(address, caSha256), token };
  }
  const local = await readFarmFile(home.farmFile);
  const known = local && [local.grpc, ...local.peers];
  const addresses = named?.split(',').map(parseFarmAddress) ?? known ?? [DEFAULT_FARM];
  const address = addresses.join(',');
  const isLocal = known !== undefined && addresses.every((each) => known.includes(each));
  const isAsked = plaintext || options.caFile !== undefined;
  const trust = local && isLocal && !isAsked ? local.trust : await trustOf(options, address);
  return { address, trust, token: undefined };
}

async function trustOf(options: WayOptions, address: string): Promise<Trust> {
  const { plaintext, caFile, home } = options;
  if (plaintext) return plaintextTo(address);
  if (caFile !== undefined) return trustIn(await readCa(caFile), caFile);
  const own = await readFile(join(home.keysDir, 'ca.pem'), 'utf8').catch(() => undefined);
  if (own === undefined) return { state: 'tls' };
  return { state: 'tls', ca: own, serverName: FARM_SERVER_NAME };
}

function plaintextTo(addresses: string): Trust {
  const beyond = addresses.split(',').find((each) => !isLoopback(each.replace(/:\d+$/, '')));
  if (beyond === undefined) return PLAINTEXT;
  const message = `--plaintext with ${beyond}, which is another machine: tokens and films would travel unencrypted; leave --plaintext out`;
  throw new FurrowError('failed-precondition', 'PLAINTEXT_NOT_ALLOWED', message);
}

/** A farm's own authority signs for the farm's own name. */
function trustIn(ca: string, path: string): Trust {
  try {
    const isOwn = new X509Certificate(ca).subject.includes(FARM_CA_NAME);
    return { state: 'tls', ca, ...(isOwn && { serverName: FARM_SERVER_NAME }) };
  } catch (error) {
    const message = `${path} is no certificate in PEM: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'CA_FILE_UNREADABLE', message, { cause: error });
  }
}

async function readCa(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const message = `cannot read the certificate authority ${path}: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'CA_FILE_UNREADABLE', message, { cause: error });
  }
}
