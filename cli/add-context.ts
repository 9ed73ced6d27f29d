/** A context from a farm's URL: read from where no other user sees it, and tried out. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { type FarmUrl, parseFarmUrl } from '../kit/farm-url.ts';
import { wayToFarm } from '../kit/farm-way.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { furrowHome } from '../kit/furrow-home.ts';
import { readToken } from '../kit/token-file.ts';
import type { Trust } from '../kit/trust.ts';
import { FarmClient } from './client.ts';
import type { CommandContext } from './command.ts';
import { inContext } from './context-errors.ts';
import type { Context } from './contexts.ts';

export interface AskOptions {
  /** `-` for standard input. */
  readonly url: string | undefined;
  readonly urlFile?: string;
  /** False: the farm is not asked. */
  readonly check: boolean;
}

/**
 * FurrowError: invalid USAGE, FILE_UNREADABLE, FARM_URL_MALFORMED, TOKEN_MISSING; unauthenticated, when the
 * farm does not know the token; those of trustByPin and readToken.
 */
export async function askContext(
  name: string,
  options: AskOptions,
  context: CommandContext,
): Promise<Context> {
  const url = parseFarmUrl(await readUrl(options));
  const { address, caSha256 } = url;
  const { tokenFile } = context.asked;
  const token = tokenFile === undefined ? url.token : await readToken(tokenFile);
  if (token === undefined) {
    const message = `the URL brings no token: get a new one from the farm's owner, or give --token-file FILE`;
    throw new FurrowError('invalid', 'TOKEN_MISSING', message);
  }
  const trust = await inContext(name, () => trustFor(url, options.check, context));
  const added: Context = { address, token, trust, caSha256: caSha256 ?? pinOf(trust) };
  if (options.check && trust !== undefined) {
    const client = new FarmClient({ address, trust, token, context: name }, context.signal);
    try {
      await client.call(client.farm.getStatus.bind(client.farm), {});
    } finally {
      client.close();
    }
  }
  return added;
}

async function readUrl({ url, urlFile }: AskOptions): Promise<string> {
  if ((url === undefined) === (urlFile === undefined)) {
    const message = `give the farm's URL, or - for standard input, or --url-file FILE: one of them`;
    throw new FurrowError('invalid', 'USAGE', message);
  }
  if (url !== undefined) return (url === '-' ? await readAll(process.stdin) : url).trim();
  try {
    return (await readFile(urlFile!, 'utf8')).trim();
  } catch (error) {
    const message = `cannot read ${urlFile}: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'FILE_UNREADABLE', message, { cause: error });
  }
}

/** Undefined: only the farm could tell, and it is not to be asked. */
async function trustFor(
  { address, caSha256 }: FarmUrl,
  mayAsk: boolean,
  { asked, environment }: CommandContext,
): Promise<Trust | undefined> {
  const { ca: caFile, plaintext = false } = asked;
  const isSaid = plaintext || caFile !== undefined;
  if (caSha256 !== undefined) {
    if (isSaid) {
      const message = `the URL says by what the farm is known: leave ${plaintext ? '--plaintext' : '--ca'} out`;
      throw new FurrowError('invalid', 'OPTIONS_CONFLICT', message);
    }
    if (!mayAsk) return undefined;
    const { trustByPin } = await import('../kit/pin-ca.ts');
    return trustByPin(address, caSha256);
  }
  if (!isSaid) return { state: 'tls' };
  const home = furrowHome(undefined, environment);
  return (await wayToFarm({ named: address, plaintext, caFile, home })).trust;
}

function pinOf(trust: Trust | undefined): string | undefined {
  if (trust?.state !== 'tls' || trust.ca === undefined) return undefined;
  return new X509Certificate(trust.ca).fingerprint256.replaceAll(':', '').toLowerCase();
}
