/**
 * Who may use the farm: tokens that people hand out, and the keys of agents that have joined. Only hashes of
 * secrets are here; the secrets are made and compared elsewhere.
 */
import type { AgentJoined, AgentRevoked, TokenCreated, TokensUsed } from './facts.ts';
import type { AgentRecord, Farm } from './farm.ts';

export const ROLES = ['admin', 'submit', 'view', 'agent'] as const;
export type Role = (typeof ROLES)[number];

export interface AccessToken {
  /** Part of the token itself, and no secret. */
  readonly id: string;
  readonly role: Role;
  /** Whose jobs it is for; empty for everybody's. */
  readonly owner: string;
  /** For people. */
  readonly label: string;
  /** SHA-256, lower-case hexadecimal. */
  readonly secretHash: string;
  readonly createdAtMs: number;
  /** Unix time; 0 for never. */
  readonly expiresAtMs: number;
  /** Unix time, to the hour or so; 0 for never. */
  readonly usedAtMs: number;
}

/** What an agent that has joined proves itself with. */
export interface AgentKey {
  readonly secretHash: string;
  /** The token that it joined with; empty for the farm's own. */
  readonly tokenId: string;
  readonly joinedAtMs: number;
  /** Public key (nkey) that it shows to NATS; empty for none. */
  readonly natsPublicKey: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** An expired token is listed for so long; the next one that is created drops it. */
const EXPIRED_KEPT_MS = 30 * DAY_MS;
/** Many times as long as credentials for NATS live. */
const SHUT_OUT_KEPT_MS = 2 * DAY_MS;

export function isExpired({ expiresAtMs }: AccessToken, wallMs: number): boolean {
  return expiresAtMs !== 0 && expiresAtMs <= wallMs;
}

export function createToken(farm: Farm, fact: TokenCreated): void {
  const { id, role, owner, label, secretHash, expiresAtMs, atMs } = fact;
  for (const old of farm.tokens.values()) {
    const isOld = old.expiresAtMs !== 0 && old.expiresAtMs + EXPIRED_KEPT_MS < atMs;
    if (isOld) farm.tokens.delete(old.id);
  }
  const times = { createdAtMs: atMs, expiresAtMs, usedAtMs: 0 };
  farm.tokens.set(id, { id, role, owner, label, secretHash, ...times });
}

export function noteUses(farm: Farm, uses: TokensUsed['uses']): void {
  for (const { id, atMs } of uses) {
    const known = farm.tokens.get(id);
    if (known !== undefined) farm.tokens.set(id, { ...known, usedAtMs: atMs });
  }
}

/** A key that it had before is good for nothing any more. */
export function joinAgent(farm: Farm, agent: AgentRecord, fact: AgentJoined): void {
  const { secretHash, natsPublicKey, tokenId, atMs } = fact;
  const before = agent.key?.natsPublicKey;
  if (before !== undefined && before !== natsPublicKey) shutOut(farm, before, atMs);
  farm.shutOutKeys.delete(natsPublicKey);
  agent.key = { secretHash, natsPublicKey, tokenId, joinedAtMs: atMs };
  agent.revokedAtMs = 0;
}

export function revokeAgent(farm: Farm, agent: AgentRecord, { atMs }: AgentRevoked): void {
  agent.revokedAtMs = atMs;
  if (agent.key !== undefined) shutOut(farm, agent.key.natsPublicKey, atMs);
}

/** What was issued to keys of long ago has ended by itself. */
function shutOut(farm: Farm, natsPublicKey: string, atMs: number): void {
  if (natsPublicKey === '') return;
  farm.shutOutKeys.set(natsPublicKey, atMs);
  for (const [key, sinceMs] of farm.shutOutKeys) {
    if (sinceMs + SHUT_OUT_KEPT_MS < atMs) farm.shutOutKeys.delete(key);
  }
}
