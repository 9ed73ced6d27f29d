/** Tokens made and revoked, agents let in and shut out. */
import { agentNamed, unknownAgent } from './agent-policy.ts';
import { stepOf } from './find.ts';
import type { CreateToken, JoinAgent, RevokeAgent, RevokeToken, UseTokens } from './commands.ts';
import { decided, type Decision, type Now, ordersFor, refused, unchanged } from './decision.ts';
import type { Fact } from './facts.ts';
import type { Farm } from './farm.ts';
import { isOwnerName } from './names.ts';
import { endLease } from './retry.ts';

const MOST_TOKENS = 10_000;
const MAX_LABEL = 200;
/** Uses are written down so often, not each. */
const USE_STEP_MS = 60 * 60 * 1000;

export function decideCreateToken(farm: Farm, command: CreateToken, now: Now): Decision {
  const { id, role, owner, label, secretHash, expiresAtMs } = command;
  if (owner !== '' && !isOwnerName(owner)) {
    return invalid(`owner ${quote(owner)}: use 1–64 letters, digits, ., _, - and @`);
  }
  if (owner !== '' && (role === 'admin' || role === 'agent')) {
    return invalid(`a token of role ${role} is nobody's: leave the owner out`);
  }
  if (label.length > MAX_LABEL || /\p{Cc}/u.test(label)) {
    return invalid(`a token's name is one line of at most ${MAX_LABEL} characters`);
  }
  if (expiresAtMs !== 0 && expiresAtMs <= now.wallMs) {
    return invalid('the token would have expired already');
  }
  if (farm.tokens.has(id)) return refused('conflict', 'TOKEN_ID_TAKEN', 'try again');
  if (farm.tokens.size >= MOST_TOKENS) {
    return refused('failed-precondition', 'TOO_MANY_TOKENS', 'revoke tokens that nobody needs');
  }
  const fact = { type: 'TokenCreated', id, role, owner, label, secretHash, expiresAtMs } as const;
  return decided([{ ...fact, atMs: now.wallMs }]);
}

export function decideRevokeToken(farm: Farm, { id }: RevokeToken, now: Now): Decision {
  if (farm.tokens.has(id)) return decided([{ type: 'TokenRevoked', id, atMs: now.wallMs }]);
  const message = `no token has the id ${quote(id)}: see furrow token list`;
  return refused('not-found', 'TOKEN_UNKNOWN', message);
}

export function decideUseTokens(farm: Farm, { uses }: UseTokens): Decision {
  const news = uses.filter(({ id, atMs }) => {
    const known = farm.tokens.get(id);
    return known !== undefined && atMs >= known.usedAtMs + USE_STEP_MS;
  });
  return decided(news.length === 0 ? [] : [{ type: 'TokensUsed', uses: news }]);
}

export function decideJoin(farm: Farm, command: JoinAgent, now: Now): Decision {
  const { agentId, secretHash, natsPublicKey, tokenId, mayReplace } = command;
  const known = farm.agents.get(agentId);
  if (known?.key !== undefined && known.revokedAtMs === 0 && !mayReplace) {
    const message = `an agent with the id ${agentId} has joined already: give this one a state folder of its own, or revoke that one with furrow agents revoke ${agentId}`;
    return refused('conflict', 'AGENT_JOINED', message);
  }
  const fact = { type: 'AgentJoined', agentId, secretHash, natsPublicKey, tokenId } as const;
  return decided([{ ...fact, atMs: now.wallMs }]);
}

/** Its units go elsewhere, at no cost to them: whatever it still says is not heard any more. */
export function decideRevokeAgent(farm: Farm, { agent }: RevokeAgent, now: Now): Decision {
  const record = agentNamed(farm, agent);
  if (record === undefined) return unknownAgent(agent);
  if (record.revokedAtMs !== 0) return unchanged();
  const leases = [...record.leases].flatMap((token) => farm.leases.get(token) ?? []);
  const end = { kind: 'evicted', message: 'its agent was revoked' } as const;
  const ends: Fact[] = leases.map((lease) =>
    endLease(lease, stepOf(farm, lease.job, lease.step), end, now.wallMs),
  );
  const fact: Fact = { type: 'AgentRevoked', agentId: record.id, atMs: now.wallMs };
  return { ...decided([...ends, fact]), stops: ordersFor(leases) };
}

function invalid(message: string): Decision {
  return refused('invalid', 'TOKEN_INVALID', message);
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 80));
