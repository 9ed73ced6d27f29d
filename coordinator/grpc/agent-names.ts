/** What agents may call themselves. */
import { FurrowError } from '../../kit/furrow-error.ts';

export const AGENT_ID = /^[a-z0-9][a-z0-9-]{0,63}$/;
const AGENT_NAME = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/** FurrowError: invalid AGENT_ID_INVALID. */
export function checkAgentId(agentId: string): void {
  if (AGENT_ID.test(agentId)) return;
  throw new FurrowError('invalid', 'AGENT_ID_INVALID', 'an agent id is 1–64 of a-z, 0-9 and -');
}

/** FurrowError: invalid AGENT_NAME_INVALID. */
export function checkAgentName(name: string): void {
  if (AGENT_NAME.test(name)) return;
  const message = 'an agent name is 1–128 characters without control characters';
  throw new FurrowError('invalid', 'AGENT_NAME_INVALID', message);
}
