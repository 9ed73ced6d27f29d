/**
 * Which farm, and the token that opens it: --farm HOST:PORT[,HOST:PORT], else $FURROW_FARM, else farm.json under
 * $FURROW_HOME, else 127.0.0.1:7400; --token-file, else $FURROW_TOKEN, else the token file beside it.
 */
import { FurrowError } from '../kit/furrow-error.ts';
import { furrowHome, readFarmFile } from '../kit/furrow-home.ts';
import { readToken } from '../kit/token-file.ts';

const DEFAULT_ADDRESS = '127.0.0.1:7400';

export interface FarmAddressOptions {
  readonly farm?: string;
  readonly tokenFile?: string;
}

export interface FarmAddress {
  /** HOST:PORT of the gRPC server; of several coordinators, with commas between. */
  readonly address: string;
  readonly token: string;
}

/**
 * FurrowError: invalid FARM_ADDRESS_MALFORMED; unavailable NO_FARM (nothing was ever started here);
 * unauthenticated TOKEN_MISSING; and those of readToken.
 */
export async function findFarm(
  options: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
): Promise<FarmAddress> {
  const home = furrowHome(undefined, environment);
  const named = options.farm ?? environment['FURROW_FARM'];
  const address = named
    ? named.split(',').map(parseAddress).join(',')
    : (await addressesIn(home.farmFile)) || DEFAULT_ADDRESS;
  if (options.tokenFile !== undefined) {
    return { address, token: await readNamedToken(options.tokenFile) };
  }
  const given = environment['FURROW_TOKEN']?.trim();
  if (given) return { address, token: given };
  try {
    return { address, token: await readToken(home.tokenFile) };
  } catch (error) {
    if (error instanceof FurrowError && error.reason === 'TOKEN_MISSING') {
      throw named ? tokenMissing(address, home.tokenFile) : noFarm(home.root);
    }
    throw error;
  }
}

/** Empty when there is no such file. */
async function addressesIn(farmFile: string): Promise<string> {
  const farm = await readFarmFile(farmFile);
  return farm === undefined ? '' : [farm.grpc, ...farm.peers].join(',');
}

async function readNamedToken(path: string): Promise<string> {
  try {
    return await readToken(path);
  } catch (error) {
    if (!(error instanceof FurrowError && error.reason === 'TOKEN_MISSING')) throw error;
    const message = `there is no token file '${path}': copy the one named token from the farm's state folder`;
    throw new FurrowError('unauthenticated', 'TOKEN_MISSING', message, { cause: error });
  }
}

function noFarm(root: string): FurrowError {
  const message = `no farm was started in ${root}: start one with furrow up, or name one with --farm HOST:PORT`;
  return new FurrowError('unavailable', 'NO_FARM', message);
}

function tokenMissing(address: string, path: string): FurrowError {
  const message = `no token for the farm at ${address}: copy its token file to ${path}, or give --token-file FILE or FURROW_TOKEN`;
  return new FurrowError('unauthenticated', 'TOKEN_MISSING', message);
}

/** HOST:PORT, with [] around an IPv6 address. */
function parseAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535) {
    const message = `'${text}' is no address of a farm: give HOST:PORT, such as ${DEFAULT_ADDRESS}`;
    throw new FurrowError('invalid', 'FARM_ADDRESS_MALFORMED', message);
  }
  return text;
}
