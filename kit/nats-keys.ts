/**
 * The keys of a farm's private nats-server: an operator that vouches for two accounts, one for the farm and one
 * for the server's own affairs. They are made once and lie in nats.json in the farm's folder of keys; JWTs are
 * made of them whenever they are needed. Loads a JWT library: for coordinators and `furrow up`.
 */
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fromSeed,
  type Account,
  type User,
} from '@nats-io/jwt';
import { join } from 'node:path';
import { readPrivate } from './farm-ca.ts';
import { FurrowError } from './furrow-error.ts';
import type { NatsAuth } from './nats-auth.ts';
import { makePrivateFile } from './private-file.ts';

const NAMES = ['operator', 'system', 'account', 'coordinator'] as const;

/** Seeds: whoever has them is the farm's coordinator, for NATS. */
export type NatsKeys = Readonly<Record<(typeof NAMES)[number], string>>;

/** What nats-server is configured with. */
export interface NatsAccounts {
  readonly operatorJwt: string;
  readonly systemAccount: string;
  /** JWTs by public key. */
  readonly preload: Readonly<Record<string, string>>;
}

const UNLIMITED = -1;
const BOUNDLESS = {
  subs: UNLIMITED,
  data: UNLIMITED,
  payload: UNLIMITED,
  conn: UNLIMITED,
  imports: UNLIMITED,
  exports: UNLIMITED,
  leaf: 0,
};

/** The keys in the folder, made at the first start. FurrowError: as readPrivate; invalid NATS_KEYS_MALFORMED. */
export async function ensureNatsKeys(directory: string): Promise<NatsKeys> {
  const path = join(directory, 'nats.json');
  try {
    return parseKeys(await readPrivate(path), path);
  } catch (error) {
    if (!(error instanceof FurrowError && error.reason === 'KEY_MISSING')) throw error;
  }
  const [operator, system, account, coordinator] = [
    createOperator(),
    createAccount(),
    createAccount(),
    createUser(),
  ].map((pair) => new TextDecoder().decode(pair.getSeed()));
  await makePrivateFile(
    path,
    `${JSON.stringify({ operator, system, account, coordinator }, null, 2)}\n`,
  );
  return parseKeys(await readPrivate(path), path);
}

export async function natsAccounts(
  keys: NatsKeys,
  shutOut: ReadonlyMap<string, number>,
): Promise<NatsAccounts> {
  const system = publicKeyOf(keys.system);
  const systemLimits = { limits: BOUNDLESS };
  return {
    operatorJwt: await encodeOperator('furrow', keys.operator, { system_account: system }),
    systemAccount: system,
    preload: {
      [system]: await encodeAccount('system', keys.system, systemLimits, { signer: keys.operator }),
      [publicKeyOf(keys.account)]: await accountJwt(keys, shutOut),
    },
  };
}

/** `shutOut`: public keys of users, and since when their credentials are void, Unix time in milliseconds. */
export function accountJwt(keys: NatsKeys, shutOut: ReadonlyMap<string, number>): Promise<string> {
  const revocations = [...shutOut].map(([key, atMs]) => [key, Math.ceil(atMs / 1000)] as const);
  const account: Partial<Account> = {
    limits: {
      ...BOUNDLESS,
      mem_storage: UNLIMITED,
      disk_storage: UNLIMITED,
      streams: UNLIMITED,
      consumer: UNLIMITED,
    },
    ...(revocations.length > 0 && { revocations: Object.fromEntries(revocations) }),
  };
  return encodeAccount('farm', keys.account, account, { signer: keys.operator });
}

/** Opens all of the farm's account: for its coordinators. */
export async function coordinatorAuth(keys: NatsKeys): Promise<NatsAuth> {
  return userAuth(keys.account, keys.coordinator, 'coordinator');
}

/** Opens the server's own account: for saying who is shut out. */
export async function systemAuth(keys: NatsKeys): Promise<NatsAuth> {
  return userAuth(keys.system, keys.coordinator, 'coordinator');
}

/** Credentials for the user with this public key, until `expiresAtMs`, signed by an account or a key of it. */
export function userJwt(
  signer: string,
  { name, publicKey, user, expiresAtMs, account }: UserOptions,
): Promise<string> {
  const exp = Math.floor(expiresAtMs / 1000);
  return account === undefined
    ? encodeUser(name, publicKey, signer, user, { exp })
    : encodeUser(name, publicKey, account, user, { exp, signer });
}

export interface UserOptions {
  readonly name: string;
  readonly publicKey: string;
  readonly user: Partial<User>;
  readonly expiresAtMs: number;
  /** Public key of the account, where the signer is a signing key of it. */
  readonly account?: string | undefined;
}

function publicKeyOf(seed: string): string {
  return fromSeed(new TextEncoder().encode(seed)).getPublicKey();
}

async function userAuth(account: string, seed: string, name: string): Promise<NatsAuth> {
  const jwt = await encodeUser(name, publicKeyOf(seed), account, {});
  return { kind: 'jwt', jwt: () => jwt, seed };
}

function parseKeys(text: string, path: string): NatsKeys {
  try {
    const said = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const kinds = { operator: 'O', system: 'A', account: 'A', coordinator: 'U' } as const;
    const keys = NAMES.map((name) => {
      const seed = said[name];
      if (typeof seed !== 'string' || !publicKeyOf(seed).startsWith(kinds[name])) {
        throw new TypeError(`it has no ${name}`);
      }
      return [name, seed] as const;
    });
    return Object.fromEntries(keys) as NatsKeys;
  } catch (error) {
    const message = `${path} does not hold the keys of nats-server: bring it back from a copy, or remove it while the farm is down, and let all agents join again`;
    throw new FurrowError('invalid', 'NATS_KEYS_MALFORMED', message, { cause: error });
  }
}
