/** AgentService.JoinAgent: an agent gets a key of its own for the token of whoever invited it. */
import { FurrowError } from '../../kit/furrow-error.ts';
import { formatSecret, hashOfSecret, newSecret } from '../../kit/secrets.ts';
import type {
  JoinAgentRequest,
  JoinAgentResponse,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Principal } from '../access.ts';
import type { Office } from '../office.ts';
import { checkAgentId, checkAgentName } from './agent-names.ts';
import { unlessRefused } from './wire.ts';

export interface JoinOptions {
  readonly office: Office;
  /** HOST:PORT of the coordinators that are known, this one first. */
  readonly addresses: () => readonly string[];
}

const NATS_PUBLIC_KEY = /^U[A-Z2-7]{55}$/;

/** FurrowError: invalid AGENT_ID_INVALID, AGENT_NAME_INVALID, NATS_KEY_INVALID; conflict AGENT_JOINED. */
export async function joinAgent(
  { office, addresses }: JoinOptions,
  { agentId, name, natsPublicKey }: JoinAgentRequest,
  { caller, tokenId }: Principal,
): Promise<JoinAgentResponse> {
  checkAgentId(agentId);
  checkAgentName(name);
  if (!NATS_PUBLIC_KEY.test(natsPublicKey)) {
    const message = 'the public key for NATS is no user key: 56 characters that begin with U';
    throw new FurrowError('invalid', 'NATS_KEY_INVALID', message);
  }
  const secret = newSecret();
  unlessRefused(
    await office.submit({
      type: 'JoinAgent',
      agentId,
      secretHash: hashOfSecret(secret),
      natsPublicKey,
      tokenId,
      // Whoever may do everything may also let a machine come back that has lost its key.
      mayReplace: caller === 'admin',
    }),
  );
  const key = formatSecret('agent-key', agentId, secret);
  return { farmId: office.farm.farmId, key, addresses: [...addresses()] };
}
