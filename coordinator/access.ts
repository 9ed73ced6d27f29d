/**
 * Who is asking, and whether they may: every door (gRPC, HTTP) asks here for every request. What a role may do
 * is in doors.ts.
 */
import { hashOfSecret, isSecret, parseSecret } from '../kit/secrets.ts';
import { isExpired } from './domain/credentials.ts';
import type { Farm } from './domain/farm.ts';
import { ALLOWED, type Action, type Caller } from './doors.ts';

export interface Credentials {
  /** Content of the `authorization` header or metadata, if there was one. */
  readonly authorization: string | undefined;
}

/** Somebody whom the farm knows. */
export interface Principal {
  readonly caller: Caller;
  /** The token's id; empty for the farm's own token and for agents. */
  readonly tokenId: string;
  /** Whose jobs alone they see and touch; empty for all. */
  readonly owner: string;
  /** Of an agent that has joined; empty for others. */
  readonly agentId: string;
}

export type Decision =
  | { readonly state: 'allowed'; readonly principal: Principal }
  | {
      readonly state: 'refused';
      readonly code: 'unauthenticated' | 'forbidden';
      /** Stable, for programs. */
      readonly reason: string;
      readonly message: string;
      /** The secret is none that is known here: whoever has read more of the journal may know it. */
      readonly isUnknown: boolean;
    };

export interface Access {
  /** By what this coordinator has read of the journal. */
  authorise(credentials: Credentials, action: Action): Decision;
  /**
   * Nobody is turned away as unknown before this coordinator has read the journal to its end: the leader may
   * have let him in a moment ago. FurrowError: unavailable, where that cannot be had now.
   */
  authoriseSurely(credentials: Credentials, action: Action): Promise<Decision>;
}

export interface AccessOptions {
  /** The farm's own token, which opens everything. */
  readonly farmToken: string;
  readonly farm: Pick<Farm, 'tokens' | 'agents'>;
  readonly wallMs: () => number;
  /** Settles once all is known that the journal holds. FurrowError: unavailable. */
  readonly reachEnd: () => Promise<void>;
  /** A token was used. */
  readonly used?: (tokenId: string, atMs: number) => void;
}

const BEARER = /^Bearer +([^\s]+)$/i;
const NOBODY = { tokenId: '', owner: '', agentId: '' };
/** Nobody has it: whoever is not known is compared all the same. */
const NO_HASH = hashOfSecret('');

export function farmAccess(options: AccessOptions): Access {
  const farmHash = hashOfSecret(options.farmToken);
  const authorise: Access['authorise'] = ({ authorization }, action) => {
    const text = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
    if (text === undefined) {
      return refused('TOKEN_REQUIRED', 'no token was given: send authorization: Bearer TOKEN');
    }
    const who = identify(options, farmHash, text);
    if ('state' in who) return who;
    if (isAllowed(who.caller, action)) return { state: 'allowed', principal: who };
    const message = `a token of role ${who.caller} may not do this (${action}): ask for one of ${ALLOWED[action].join(' or ')}`;
    return { ...refused('ROLE_TOO_LOW', message), code: 'forbidden' };
  };
  return {
    authorise,
    authoriseSurely: async (credentials, action) => {
      const atFirst = authorise(credentials, action);
      if (atFirst.state === 'allowed' || !atFirst.isUnknown) return atFirst;
      await options.reachEnd();
      return authorise(credentials, action);
    },
  };
}

function isAllowed(caller: Caller, action: Action): boolean {
  return ALLOWED[action].includes(caller);
}

function identify(options: AccessOptions, farmHash: string, text: string): Principal | Decision {
  const shown = parseSecret(text);
  switch (shown.kind) {
    case 'farm':
      return isSecret(shown.secret, farmHash)
        ? { ...NOBODY, caller: 'admin' }
        : refused(
            'TOKEN_WRONG',
            'this is not a token of this farm: see the file named token in its state folder, or ask for one from furrow token create',
          );
    case 'token':
      return identifyToken(options, shown);
    case 'agent-key': {
      const { key, revokedAtMs = 0 } = options.farm.agents.get(shown.id) ?? {};
      const isKnown = isSecret(shown.secret, key?.secretHash ?? NO_HASH);
      if (isKnown && revokedAtMs === 0) {
        return { ...NOBODY, caller: 'agent-key', agentId: shown.id };
      }
      return isKnown
        ? refused('AGENT_REVOKED', `agent ${shown.id} was revoked: let it join anew, if it should`)
        : unknown(
            'AGENT_NOT_JOINED',
            `this farm does not know agent ${shown.id}: let it join anew`,
          );
    }
  }
}

function identifyToken(
  { farm, wallMs, used }: AccessOptions,
  { id, secret }: { readonly id: string; readonly secret: string },
): Principal | Decision {
  const known = farm.tokens.get(id);
  if (!isSecret(secret, known?.secretHash ?? NO_HASH) || known === undefined) {
    return unknown('TOKEN_WRONG', 'this is not a token of this farm, or it was revoked');
  }
  const nowMs = wallMs();
  if (isExpired(known, nowMs)) {
    return refused('TOKEN_EXPIRED', `token ${id} has expired: ask for a new one`);
  }
  used?.(id, nowMs);
  return { ...NOBODY, caller: known.role, tokenId: id, owner: known.owner };
}

type Refusal = Extract<Decision, { readonly state: 'refused' }>;

const refused = (reason: string, message: string): Refusal => ({
  state: 'refused',
  code: 'unauthenticated',
  reason,
  message,
  isUnknown: false,
});

const unknown = (reason: string, message: string): Refusal => ({
  ...refused(reason, message),
  isUnknown: true,
});
