/** One path of the HTTP server, and who may use it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Action } from '../access.ts';

export interface Route {
  readonly method: string;
  /** The whole path, or a pattern for it, without the query. */
  readonly path: string | RegExp;
  /** What the caller must be allowed to do; `open` lets everybody in. */
  readonly action: Action | 'open';
  /** A coordinator that stands by refuses it. */
  readonly isLeaders?: boolean;
  handle(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> | void;
}
