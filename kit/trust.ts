/**
 * By what the other end of a connection is known: one value for gRPC, HTTP and NATS. A farm's own certificates
 * all carry one name, so that an address that changed, or a tunnel, does not matter.
 */
import type { ConnectionOptions } from 'node:tls';

export type Trust =
  /** No TLS: only on this machine, and only when asked for. */
  | { readonly state: 'plaintext' }
  | {
      readonly state: 'tls';
      /** Certificate authority, PEM. Without it: those that this system trusts. */
      readonly ca?: string;
      /** The name that certificates must have. Without it: the host that is connected to. */
      readonly serverName?: string;
    };

export const PLAINTEXT: Trust = { state: 'plaintext' };

/** In each certificate that a farm makes for itself. */
export const FARM_SERVER_NAME = 'furrow.internal';
/** What the name of a farm's own authority begins with. */
export const FARM_CA_NAME = 'Furrow farm';

/** TypeError when it is none. */
export function parseTrust(said: unknown): Trust {
  const { state, ca, serverName } = (said ?? {}) as Partial<Record<string, unknown>>;
  if (state === 'plaintext') return PLAINTEXT;
  const areTexts = [ca, serverName].every((each) => each === undefined || typeof each === 'string');
  if (state !== 'tls' || !areTexts) throw new TypeError('it does not say how to know the farm');
  return {
    state,
    ...(typeof ca === 'string' && { ca }),
    ...(typeof serverName === 'string' && { serverName }),
  };
}

/** For `https.request`, `tls.connect` and NATS. */
export function tlsOptionsFor(
  trust: Trust,
): Pick<ConnectionOptions, 'ca' | 'servername' | 'minVersion'> {
  if (trust.state === 'plaintext') return {};
  const { ca, serverName } = trust;
  return {
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}

/** Whether nobody but this machine can be at this host. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare);
}
