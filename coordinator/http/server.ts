/**
 * The coordinator's HTTP server: one list of routes, one place that lets a request in, one that turns
 * an error into an answer. /healthz is open; everything else asks `access`.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { ServerIdentity } from '../../kit/farm-ca.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Access, Principal } from '../access.ts';
import { type Action, HTTP_DOORS } from '../doors.ts';
import type { BlobAccess } from '../blob-access.ts';
import type { BlobStore } from '../ports.ts';
import { blobRoutes } from './blob-routes.ts';
import { sendError, sendJson, toFurrowError } from './http-error.ts';
import type { Route } from './route.ts';
import { openUploads } from './uploads.ts';

export interface Health {
  readonly healthy: boolean;
  /** Shown as they are; nothing secret. */
  readonly [detail: string]: unknown;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Undefined: plain text. */
  readonly identity?: ServerIdentity | undefined;
  readonly store: BlobStore;
  readonly access: Access;
  /** Default: a role is all that counts. */
  readonly blobAccess?: BlobAccess;
  readonly log: Logger;
  readonly health: () => Health;
  /** Throws FurrowError NOT_LEADER when this coordinator stands by. */
  readonly mustLead: () => void;
  readonly extraRoutes?: readonly Route[];
  /** A connection on which no byte moved for so long is cut. Default 60 s. */
  readonly idleTimeoutMs?: number;
}

export interface HttpServer {
  /** Such as https://127.0.0.1:7401. */
  readonly url: string;
  /** Who connects from now on is shown this certificate. */
  renew(identity: ServerIdentity): void;
  /** Takes no new requests, gives running ones `graceMs` (default 5 s), then cuts them. */
  close(graceMs?: number): Promise<void>;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;
const CLOSE_GRACE_MS = 5_000;

export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const uploads = await openUploads(options.store, options.log, options.blobAccess);
  const health: Route = {
    door: 'GET /healthz',
    path: '/healthz',
    handle: (_request, response) => {
      const state = options.health();
      sendJson(response, state.healthy ? 200 : 503, state);
    },
  };
  const routes = [
    health,
    ...blobRoutes(options.store, options.blobAccess),
    ...uploads.routes,
    ...(options.extraRoutes ?? []),
  ];
  const server = serverFor(options.identity, (request, response) => {
    void answer(routes, options, request, response);
  });
  server.timeout = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  server.on('clientError', (_error, socket) => socket.destroy());
  await listen(server, options.host, options.port);
  const { address, port, family } = server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  return {
    url: `${options.identity === undefined ? 'http' : 'https'}://${host}:${port}`,
    renew: (identity) => {
      if (options.identity !== undefined)
        (server as SecureServer).setSecureContext(tlsOf(identity));
    },
    close: async (graceMs = CLOSE_GRACE_MS) => {
      uploads.close();
      await closeServer(server, graceMs);
    },
  };
}

function serverFor(identity: ServerIdentity | undefined, listener: RequestListener): Server {
  // A film may take hours to upload, so a request has no end; a connection that stands still has.
  const limits = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: 15_000,
  };
  if (identity === undefined) return createServer(limits, listener);
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS;
  return createSecureServer({ ...limits, ...tlsOf(identity), handshakeTimeout }, listener);
}

function tlsOf({ key, certificate }: ServerIdentity): SecureContextOptions {
  return { key, cert: certificate, minVersion: 'TLSv1.2' };
}

async function answer(
  routes: readonly Route[],
  options: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = findRoute(routes, request.method ?? '', path);
    // A caller without a token is not told what exists.
    const action = route.state === 'found' ? HTTP_DOORS[route.route.door] : 'read-farm';
    const principal = action === 'open' ? undefined : admit(options, request, action);
    switch (route.state) {
      case 'found':
        if (route.route.isLeaders === true) options.mustLead();
        await route.route.handle(request, response, path, principal);
        return;
      case 'other-method':
        response.setHeader('Allow', route.allow.join(', '));
        sendJson(response, 405, {
          code: 'invalid',
          reason: 'METHOD_NOT_ALLOWED',
          message: `${path} takes ${route.allow.join(', ')}`,
        });
        return;
      case 'none':
        throw new FurrowError('not-found', 'NO_SUCH_PATH', 'there is nothing at this path');
    }
  } catch (thrown) {
    // The other end is gone: nobody to tell, and nothing of ours went wrong.
    if (request.socket.destroyed) return;
    const error = toFurrowError(thrown);
    if (error.code === 'internal') {
      options.log.error({ err: thrown, method: request.method }, 'request failed');
    }
    sendError(response, error);
  }
}

function admit(
  { access }: HttpServerOptions,
  { headers: { authorization } }: IncomingMessage,
  action: Action,
): Principal {
  const decision = access.authorise({ authorization }, action);
  if (decision.state === 'allowed') return decision.principal;
  throw new FurrowError(decision.code, decision.reason, decision.message);
}

type FoundRoute =
  | { readonly state: 'found'; readonly route: Route }
  | { readonly state: 'other-method'; readonly allow: readonly string[] }
  | { readonly state: 'none' };

function findRoute(routes: readonly Route[], method: string, path: string): FoundRoute {
  const here = routes.filter(({ path: wanted }) =>
    typeof wanted === 'string' ? wanted === path : wanted.test(path),
  );
  const route = here.find((candidate) => methodOf(candidate) === method);
  if (route !== undefined) return { state: 'found', route };
  if (here.length === 0) return { state: 'none' };
  return { state: 'other-method', allow: here.map(methodOf) };
}

const methodOf = ({ door }: Route): string => door.split(' ', 1)[0]!;

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'that port is taken' : error.message;
      const message = `cannot listen on ${host}:${port}: ${why}`;
      reject(new FurrowError('failed-precondition', 'CANNOT_LISTEN', message, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
