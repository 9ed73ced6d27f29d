/** How an agent gets into the farm's NATS, by what it was told when it enrolled. */
import type { NatsAuth } from '../kit/nats-auth.ts';
import { PLAINTEXT, type Trust } from '../kit/trust.ts';
import type { EnrolAgentResponse } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Joined } from './joined.ts';

/** Credentials are asked for at each connection: by then there may be newer ones. */
export function natsWay(
  { natsToken, natsJwt, natsCa, natsServerName }: EnrolAgentResponse,
  { natsSeed }: Joined,
  latest: { readonly now: string },
): { readonly auth: NatsAuth; readonly trust: Trust } {
  const auth: NatsAuth =
    natsJwt === ''
      ? { kind: 'token', token: natsToken }
      : { kind: 'jwt', jwt: () => latest.now, seed: natsSeed };
  if (natsJwt === '' && natsCa === '') return { auth, trust: PLAINTEXT };
  const names = {
    ...(natsCa && { ca: natsCa }),
    ...(natsServerName && { serverName: natsServerName }),
  };
  return { auth, trust: { state: 'tls', ...names } };
}
