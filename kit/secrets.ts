/**
 * The secrets that open a farm, as text: what kind, whose, and 32 random bytes. What is in front of the secret
 * is no secret; it says where to look for the hash that it is compared with.
 *
 *   frt-ID-SECRET       a token that a person made
 *   fra-AGENT-SECRET    the key of an agent that has joined
 *   SECRET              the farm's own token, in its state folder
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export type Shown =
  | { readonly kind: 'token' | 'agent-key'; readonly id: string; readonly secret: string }
  | { readonly kind: 'farm'; readonly secret: string };

const PREFIX = { token: 'frt', 'agent-key': 'fra' } as const;
const NAMED = /^(frt|fra)-([a-z0-9][a-z0-9-]{0,63})-([A-Za-z0-9_-]{43})$/;

export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Eight of thirty-two letters and digits: told apart by people, and never taken twice by chance. */
export function newTokenId(): string {
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
  return [...randomBytes(8)].map((byte) => letters[byte % letters.length]).join('');
}

export function formatSecret(kind: 'token' | 'agent-key', id: string, secret: string): string {
  return `${PREFIX[kind]}-${id}-${secret}`;
}

export function parseSecret(text: string): Shown {
  const match = NAMED.exec(text);
  if (match === null) return { kind: 'farm', secret: text };
  const [, prefix, id = '', secret = ''] = match;
  return { kind: prefix === 'fra' ? 'agent-key' : 'token', id, secret };
}

/** Lower-case hexadecimal. Secrets are random and long: nothing slower is needed. */
export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** In the same time, whatever was shown: hashes have one length. */
export function isSecret(shown: string, hash: string): boolean {
  const [given, known] = [hashOfSecret(shown), hash].map((text) => Buffer.from(text, 'hex'));
  return given!.length === known!.length && timingSafeEqual(given!, known!);
}
