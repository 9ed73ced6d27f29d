/** One path of the HTTP server, and who may use it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access.ts';
import type { HttpDoor } from '../doors.ts';

export interface Route {
  /** What the caller must be allowed to do stands there. Its first word is the method. */
  readonly door: HttpDoor;
  /** The whole path, or a pattern for it, without the query. */
  readonly path: string | RegExp;
  /** A coordinator that stands by refuses it. */
  readonly isLeaders?: boolean;
  /** `principal`: undefined where the door is open. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    principal: Principal | undefined,
  ): Promise<void> | void;
}
