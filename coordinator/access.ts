/**
 * Who may do what: the one place that decides. Every door (gRPC, HTTP) asks here for every request.
 * Today whoever holds the farm's token may do everything; the action is asked for already, so that
 * roles change this file and nothing else.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export type Action =
  | 'read-blobs'
  | 'write-blobs'
  | 'read-jobs'
  | 'write-jobs'
  | 'read-farm'
  | 'administer-farm'
  | 'serve-as-agent';

export interface Credentials {
  /** Content of the `authorization` header or metadata, if there was one. */
  readonly authorization: string | undefined;
}

export type Decision =
  | { readonly state: 'allowed' }
  | {
      readonly state: 'refused';
      readonly code: 'unauthenticated' | 'forbidden';
      /** Stable, for programs. */
      readonly reason: string;
      readonly message: string;
    };

export interface Access {
  authorise(credentials: Credentials, action: Action): Decision;
}

const BEARER = /^Bearer +([^\s]+)$/i;

/** Lets in whoever shows this token. */
export function tokenAccess(token: string): Access {
  const expected = digest(token);
  return {
    authorise: ({ authorization }) => {
      const shown = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
      if (shown === undefined) {
        return refused(
          'TOKEN_REQUIRED',
          'no farm token was given: send authorization: Bearer TOKEN',
        );
      }
      // Digests have one length, so the comparison tells nothing about the token, not even its length.
      return timingSafeEqual(digest(shown), expected)
        ? { state: 'allowed' }
        : refused(
            'TOKEN_WRONG',
            'this is not the token of this farm: see the file named token in its state folder',
          );
    },
  };
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

const refused = (reason: string, message: string): Decision => ({
  state: 'refused',
  code: 'unauthenticated',
  reason,
  message,
});
