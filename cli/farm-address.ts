/**
 * Which farm, by what it is known, and the token that opens it: --farm, else $FURROW_FARM, else farm.json under
 * $FURROW_HOME, else 127.0.0.1:7400; the token of a farm's URL, else --token-file, else $FURROW_TOKEN, else the
 * token file beside it.
 */
import { FurrowError } from '../kit/furrow-error.ts';
import { furrowHome } from '../kit/furrow-home.ts';
import { wayToFarm } from '../kit/farm-way.ts';
import { readToken } from '../kit/token-file.ts';
import type { Trust } from '../kit/trust.ts';

export interface FarmAddressOptions {
  /** HOST:PORT[,HOST:PORT] or a farm's URL. */
  readonly farm?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly plaintext?: boolean;
}

export interface FarmAddress {
  /** HOST:PORT of the gRPC server; of several coordinators, with commas between. */
  readonly address: string;
  readonly trust: Trust;
  readonly token: string;
}

/**
 * FurrowError: unavailable NO_FARM (nothing was ever started here); unauthenticated TOKEN_MISSING; and those of
 * wayToFarm and readToken.
 */
export async function findFarm(
  options: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
): Promise<FarmAddress> {
  const home = furrowHome(undefined, environment);
  const named = options.farm ?? (environment['FURROW_FARM'] || undefined);
  const { address, trust, token } = await wayToFarm({
    named,
    plaintext: options.plaintext ?? isYes(environment['FURROW_PLAINTEXT']),
    caFile: options.ca ?? (environment['FURROW_CA'] || undefined),
    home,
  });
  if (options.tokenFile !== undefined) {
    return { address, trust, token: await readNamedToken(options.tokenFile) };
  }
  const given = token ?? environment['FURROW_TOKEN']?.trim();
  if (given) return { address, trust, token: given };
  try {
    return { address, trust, token: await readToken(home.tokenFile) };
  } catch (error) {
    if (error instanceof FurrowError && error.reason === 'TOKEN_MISSING') {
      throw named ? tokenMissing(address, home.tokenFile) : noFarm(home.root);
    }
    throw error;
  }
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

const isYes = (text: string | undefined): boolean => /^(1|true|yes|on)$/i.test(text ?? '');
