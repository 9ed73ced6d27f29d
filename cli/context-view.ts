/** A context as it is shown: all but its secrets. */
import { type FurrowHome, readFarmFile } from '../kit/furrow-home.ts';
import { shownSecret } from '../kit/settings-sources.ts';
import { readToken } from '../kit/token-file.ts';
import type { Trust } from '../kit/trust.ts';
import { type Context, LOCAL_CONTEXT, readContexts } from './contexts.ts';

export interface ContextView {
  readonly name: string;
  readonly isCurrent: boolean;
  /** HOST:PORT, of several coordinators with commas; undefined while no farm was started on this machine. */
  readonly address: string | undefined;
  /** By what the farm is known, in words. */
  readonly knownBy: string;
  /** That there is one, and how long it is. */
  readonly token: string;
}

/** `local` first. FurrowError: those of readContexts and readFarmFile. */
export async function viewOfContexts(home: FurrowHome): Promise<ContextView[]> {
  const { current, farms } = await readContexts(home);
  const isCurrent = (name: string): boolean => name === current;
  const farm = await readFarmFile(home.farmFile);
  const token = await readToken(home.tokenFile).then(shownSecret, () => 'none');
  const local: ContextView = {
    name: LOCAL_CONTEXT,
    isCurrent: isCurrent(LOCAL_CONTEXT),
    address: farm && [farm.grpc, ...farm.peers].join(','),
    knownBy: farm ? wordsOfTrust(farm.trust, undefined) : '-',
    token,
  };
  const others = [...farms].map(([name, context]) => ({
    name,
    isCurrent: isCurrent(name),
    ...viewOf(context),
  }));
  return [local, ...others];
}

function viewOf({ address, caSha256, trust, token }: Context) {
  return { address, knownBy: wordsOfTrust(trust, caSha256), token: shownSecret(token) };
}

export function wordsOfTrust(trust: Trust | undefined, caSha256: string | undefined): string {
  if (trust?.state === 'plaintext') return 'nothing: no TLS';
  if (caSha256 !== undefined) return `sha256:${caSha256}`;
  if (trust?.ca !== undefined) return 'its own certificate authority';
  return 'an authority that this system trusts';
}
