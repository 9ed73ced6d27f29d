/**
 * One line that says all that is needed to reach a farm: `furrow://HOST:PORT[,HOST:PORT]?ca=sha256:…&token=…`.
 * It holds a secret, and goes where secrets may: into a file, an environment variable, a terminal.
 */
import { FurrowError } from './furrow-error.ts';

export interface FarmUrl {
  /** HOST:PORT of the gRPC server; of several coordinators, with commas between. */
  readonly address: string;
  /** SHA-256 of the farm's own certificate authority, in hex. Undefined: one that every system trusts. */
  readonly caSha256: string | undefined;
  readonly token: string | undefined;
}

const SCHEME = 'furrow://';
const EXAMPLE = 'furrow://HOST:PORT?ca=sha256:…&token=…';

export function isFarmUrl(text: string): boolean {
  return text.startsWith(SCHEME);
}

/** FurrowError: invalid FARM_URL_MALFORMED; it never repeats the token. */
export function parseFarmUrl(text: string): FarmUrl {
  const [at = '', query = ''] = text.slice(SCHEME.length).split('?', 2);
  if (!isFarmUrl(text)) throw malformed('it does not begin with furrow://');
  const address = at.replace(/\/$/, '').split(',').map(addressIn).join(',');
  const said = new URLSearchParams(query);
  for (const name of said.keys()) {
    if (name === 'ca' || name === 'token') continue;
    // What is longer may be the secret, where a shell or a mail took the line apart.
    throw malformed(name.length < 16 ? `nobody knows its '${name}'` : 'it is torn or mistyped');
  }
  const ca = said.get('ca') ?? undefined;
  const caSha256 = ca === undefined ? undefined : /^sha256:([0-9a-f]{64})$/i.exec(ca)?.[1];
  if (ca !== undefined && caSha256 === undefined) {
    throw malformed('its ca is not sha256: and 64 hexadecimal digits');
  }
  const token = said.get('token') ?? undefined;
  if (token !== undefined && !/^[\w.~-]{16,256}$/.test(token)) throw malformed('its token is cut');
  return { address, caSha256: caSha256?.toLowerCase(), token };
}

export function formatFarmUrl({ address, caSha256, token }: FarmUrl): string {
  const said = [
    ...(caSha256 === undefined ? [] : [`ca=sha256:${caSha256}`]),
    ...(token === undefined ? [] : [`token=${token}`]),
  ];
  return `${SCHEME}${address}${said.length === 0 ? '' : `?${said.join('&')}`}`;
}

/** HOST:PORT, with [] around an IPv6 address. FurrowError: invalid FARM_ADDRESS_MALFORMED. */
export function parseFarmAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535) {
    const message = `'${text}' is no address of a farm: give HOST:PORT, such as 127.0.0.1:7400`;
    throw new FurrowError('invalid', 'FARM_ADDRESS_MALFORMED', message);
  }
  return text;
}

/** The error of an address repeats it, and where a `?` is missing that is the whole line. */
function addressIn(text: string): string {
  try {
    return parseFarmAddress(text);
  } catch {
    throw malformed('what stands for its address is not HOST:PORT');
  }
}

function malformed(why: string): FurrowError {
  const message = `that is no farm's URL (${EXAMPLE}): ${why}; copy the whole line, in quotes`;
  return new FurrowError('invalid', 'FARM_URL_MALFORMED', message);
}
