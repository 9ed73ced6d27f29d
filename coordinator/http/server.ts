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
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { ServerIdentity } from '../../kit/farm-ca.ts';
import { systemClock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Access, Principal } from '../access.ts';
import { type Action, HTTP_DOORS } from '../doors.ts';
import type { BlobAccess } from '../blob-access.ts';
import { guardConnections } from '../limits/front-door.ts';
import type { NetworkLimits } from '../limits/network-limits.ts';
import { PaceWatch } from '../limits/pace-watch.ts';
import { addressOf, isLoopbackPeer, peerOf } from '../limits/peer.ts';
import { Places } from '../limits/places.ts';
import { tooManyRequests } from '../limits/request-rate.ts';
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
  readonly limits: NetworkLimits;
  /** Default: a role is all that counts. */
  readonly blobAccess?: BlobAccess;
  readonly log: Logger;
  readonly health: () => Health;
  /** Throws FurrowError NOT_LEADER when this coordinator stands by. */
  readonly mustLead: () => void;
  readonly extraRoutes?: readonly Route[];
  /** A connection on which no byte moved for so long is cut. Default 60 s. */
  readonly idleTimeoutMs?: number;
  /** A request of which less than that moves in a window is cut. Default 30 KiB in 60 s. */
  readonly pace?: { readonly windowMs: number; readonly leastBytes: number };
  /** Uploads that have begun and not ended. Default 10,000. */
  readonly mostHalfMadeUploads?: number;
  /** Bodies that are received at once. Default 1024, of one address 256. */
  readonly bodies?: { readonly inAll: number; readonly perAddress: number };
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
const LOOK_FOR_SLOW_HEADERS_MS = 1_000;
const MAX_HEADERS = 100;
const LEAST_PACE = { windowMs: 60_000, leastBytes: 30 * 1024 };
const MOST_BODIES = { inAll: 1_024, perAddress: 256 };
const IDLE_TIMEOUT_MS = 60_000;
const CLOSE_GRACE_MS = 5_000;

export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const uploads = await openUploads(
    options.store,
    options.log,
    options.blobAccess,
    options.mostHalfMadeUploads,
  );
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
  const monotonicMs = (): number => systemClock.monotonicMs();
  const pace = new PaceWatch({ ...(options.pace ?? LEAST_PACE), monotonicMs });
  const bodies = new Places(options.bodies ?? MOST_BODIES);
  const server = serverFor(options.identity, (request, response) => {
    pace.watch(request, response);
    void answer({ ...options, routes, places: bodies }, request, response);
  });
  server.timeout = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  server.maxHeadersCount = MAX_HEADERS;
  server.on('clientError', refuseUnread);
  guardConnections(server, options.limits.door);
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
      pace.close();
      await closeServer(server, graceMs);
    },
  };
}

function serverFor(identity: ServerIdentity | undefined, listener: RequestListener): Server {
  // A film may take hours to upload, so a request has no end; a connection that stands still has.
  const limits = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    connectionsCheckingInterval: LOOK_FOR_SLOW_HEADERS_MS,
    keepAliveTimeout: 15_000,
  };
  if (identity === undefined) return createServer(limits, listener);
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS;
  return createSecureServer({ ...limits, ...tlsOf(identity), handshakeTimeout }, listener);
}

function tlsOf({ key, certificate }: ServerIdentity): SecureContextOptions {
  return { key, cert: certificate, minVersion: 'TLSv1.2' };
}

/** What cannot be read as HTTP, or does not come whole. */
function refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
  const status = UNREAD_STATUS[error.code ?? ''] ?? '400 Bad Request';
  if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
  socket.destroy();
}

const UNREAD_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

interface Answering extends HttpServerOptions {
  readonly routes: readonly Route[];
  readonly places: Places;
}

async function answer(
  options: Answering,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = findRoute(options.routes, request.method ?? '', path);
    if (!options.limits.rate.take(addressOf(request.socket))) throw tooManyRequests();
    // A caller without a token is not told what exists.
    const action = route.state === 'found' ? HTTP_DOORS[route.route.door] : 'read-farm';
    const principal = action === 'open' ? undefined : await letIn(options, request, action);
    switch (route.state) {
      case 'found':
        if (route.route.isLeaders === true) options.mustLead();
        takePlace(options.places, request, response);
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
    refuse(options.log, request, response, thrown);
  }
}

/** Refusals of those who show no token that is known come later and later. */
async function letIn(
  { access, limits }: HttpServerOptions,
  request: IncomingMessage,
  action: Action,
): Promise<Principal> {
  const { authorization } = request.headers;
  const refused = (refusal: FurrowError): Promise<FurrowError> =>
    limits.logins.failed(addressOf(request.socket), refusal);
  const decision = await access.authoriseSurely({ authorization }, action).catch(async (thrown) => {
    throw await refused(toFurrowError(thrown));
  });
  if (decision.state === 'allowed' || decision.code !== 'unauthenticated') {
    limits.door.know(peerOf(request.socket));
  }
  if (decision.state === 'allowed') return decision.principal;
  const refusal = new FurrowError(decision.code, decision.reason, decision.message);
  if (decision.code !== 'unauthenticated') throw refusal;
  throw await refused(refusal);
}

/** A body that comes has a place until it has been answered. */
function takePlace(places: Places, request: IncomingMessage, response: ServerResponse): void {
  if (!hasBody(request)) return;
  // Agents and services by the thousand may share this machine's address.
  const address = addressOf(request.socket);
  const leave = places.take(isLoopbackPeer(address) ? peerOf(request.socket) : address);
  if (leave === undefined) {
    const message = 'as many uploads as this coordinator takes are under way: try again later';
    throw new FurrowError('unavailable', 'UPLOADS_BUSY', message);
  }
  response.once('close', leave);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function refuse(
  log: Logger,
  request: IncomingMessage,
  response: ServerResponse,
  thrown: unknown,
): void {
  // The other end is gone: nobody to tell, and nothing of ours went wrong.
  if (request.socket.destroyed) return;
  const error = toFurrowError(thrown);
  if (error.code === 'internal')
    log.error({ err: thrown, method: request.method }, 'request failed');
  // A refusal leaves a body behind that nobody reads.
  if (hasBody(request) && !request.complete && !response.headersSent) {
    response.setHeader('Connection', 'close');
  }
  sendError(response, error);
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
