/** Tokens over gRPC: the secret is made here, and is in one answer and nowhere else. */
import { FurrowError } from '../../kit/furrow-error.ts';
import { formatSecret, hashOfSecret, newSecret, newTokenId } from '../../kit/secrets.ts';
import {
  Role as WireRole,
  type AccessToken as WireToken,
  type CreateTokenRequest,
  type CreateTokenResponse,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import type { AccessToken, Role } from '../domain/credentials.ts';
import type { Office } from '../office.ts';
import type { TokenUses } from '../token-uses.ts';
import { unlessRefused } from './wire.ts';

export interface TokensOptions {
  readonly office: Office;
  readonly uses: TokenUses;
  /** The farm's URL with a token in it. */
  readonly urlWith: (token: string) => string;
}

const ROLE_OF_WIRE: Readonly<Partial<Record<WireRole, Role>>> = {
  [WireRole.ROLE_ADMIN]: 'admin',
  [WireRole.ROLE_SUBMIT]: 'submit',
  [WireRole.ROLE_VIEW]: 'view',
  [WireRole.ROLE_AGENT]: 'agent',
};

const ROLE_TO_WIRE: Readonly<Record<Role, WireRole>> = {
  admin: WireRole.ROLE_ADMIN,
  submit: WireRole.ROLE_SUBMIT,
  view: WireRole.ROLE_VIEW,
  agent: WireRole.ROLE_AGENT,
};

/** FurrowError: invalid ROLE_INVALID, TOKEN_INVALID. */
export async function createToken(
  { office, urlWith }: TokensOptions,
  { role: wireRole, owner, label, expiresAtMs }: CreateTokenRequest,
): Promise<CreateTokenResponse> {
  const role = ROLE_OF_WIRE[wireRole];
  if (role === undefined) {
    const message = 'a token has one of the roles admin, submit, view and agent';
    throw new FurrowError('invalid', 'ROLE_INVALID', message);
  }
  const [id, secret] = [newTokenId(), newSecret()];
  const asked = { id, role, owner, label, expiresAtMs, secretHash: hashOfSecret(secret) };
  unlessRefused(await office.submit({ type: 'CreateToken', ...asked }));
  const text = formatSecret('token', id, secret);
  const token = { ...asked, role: wireRole, createdAtMs: Date.now(), usedAtMs: 0 };
  return { token: withoutHash(token), secret: text, url: urlWith(text) };
}

export async function listTokens({
  office,
  uses,
}: TokensOptions): Promise<{ tokens: WireToken[] }> {
  const tokens = await office.read(({ tokens }) => [...tokens.values()]);
  return {
    tokens: tokens.map((token: AccessToken) =>
      withoutHash({
        ...token,
        role: ROLE_TO_WIRE[token.role],
        usedAtMs: Math.max(token.usedAtMs, uses.lastOf(token.id)),
      }),
    ),
  };
}

function withoutHash(token: WireToken): WireToken {
  const { id, role, owner, label, createdAtMs, expiresAtMs, usedAtMs } = token;
  return { id, role, owner, label, createdAtMs, expiresAtMs, usedAtMs };
}
