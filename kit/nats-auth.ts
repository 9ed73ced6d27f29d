/** How a client shows NATS who it is, and how it knows the server. */
import { jwtAuthenticator, type ConnectionOptions } from 'nats';
import { PLAINTEXT, tlsOptionsFor, type Trust } from './trust.ts';

export type NatsAuth =
  /** One secret for all. */
  | { readonly kind: 'token'; readonly token: string }
  /** Credentials of its own, for the key whose seed it has. Asked for anew at each connection: they end. */
  | { readonly kind: 'jwt'; readonly jwt: () => string; readonly seed: string };

export function natsAuthOptions(auth: NatsAuth, trust: Trust = PLAINTEXT): ConnectionOptions {
  const who: ConnectionOptions =
    auth.kind === 'token'
      ? { token: auth.token }
      : { authenticator: jwtAuthenticator(auth.jwt, new TextEncoder().encode(auth.seed)) };
  if (trust.state === 'plaintext') return who;
  // The client hands more to Node's TLS than its types say: the name is among it.
  return { ...who, tls: tlsOptionsFor(trust) as NonNullable<ConnectionOptions['tls']> };
}
