/**
 * One HTTP request to the coordinator. Rejects with FurrowError: what the server said, or unavailable
 * when it could not be reached, fell silent or cut the connection.
 */
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import type { ByteRate } from './byte-rate.ts';
import { tlsOptionsFor, type Trust } from './trust.ts';
import { type ErrorDetails, FurrowError, messageOf, type ErrorCode } from './furrow-error.ts';

/** Where the farm's HTTP server is, and what opens it. */
export interface HttpTarget {
  /** Such as http://127.0.0.1:7401. Another one after `lookAgain`, maybe. */
  readonly url: string;
  readonly token: string;
  /** Whom to believe at an https address. Default: what this system trusts. */
  readonly trust?: Trust;
  /** How fast files may come and go. */
  readonly rate?: ByteRate;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Looks where the farm is now, before a request is tried again: another coordinator may lead. */
  readonly lookAgain?: () => Promise<void>;
}

export interface HttpRequest {
  readonly method: string;
  /** From the root, such as /healthz; or a whole address. */
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Buffer | (() => Readable);
  readonly signal?: AbortSignal;
  /** Give up when no byte moved for so long. Default 60 s. */
  readonly idleTimeoutMs?: number;
}

const IDLE_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 2 * 1024 * 1024;

/** Sends a request and answers once the head of the response is there, whatever its status. */
export async function sendRequest(
  target: HttpTarget,
  { method, path, headers, body, signal, idleTimeoutMs }: HttpRequest,
): Promise<IncomingMessage> {
  const url = addressIn(target, path);
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method,
    signal,
    ...(target.trust && tlsOptionsFor(target.trust)),
    headers: { authorization: `Bearer ${target.token}`, ...target.headers, ...headers },
  });
  request.setTimeout(idleTimeoutMs ?? IDLE_TIMEOUT_MS, () => {
    request.destroy(unreachable(target, new Error('nothing was heard in time')));
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
  });
  const source = typeof body === 'function' ? paced(target, body()) : undefined;
  let sourceError: Error | undefined;
  source?.once('error', (error) => request.destroy((sourceError = error)));
  if (source === undefined) request.end(body);
  else source.pipe(request);
  try {
    const response = await answered;
    if (source !== undefined && !source.readableEnded) stopSending(source, request, response);
    return response;
  } catch (error) {
    source?.destroy();
    signal?.throwIfAborted();
    if (sourceError !== undefined) throw cannotRead(sourceError);
    throw error instanceof FurrowError ? error : unreachable(target, error);
  }
}

/**
 * Where a request goes. FurrowError unavailable when the farm says of its server what is no address, or one at which
 * the token would go in plain text although the farm is known by its certificate.
 */
export function addressIn({ url: base, trust }: HttpTarget, path: string): URL {
  const url = URL.canParse(path, base) ? new URL(path, base) : undefined;
  const shown = JSON.stringify(base.slice(0, 200));
  if (url?.protocol === 'https:') return url;
  if (url?.protocol !== 'http:') {
    const message = `the coordinator says that its files are at ${shown}, which is no http address`;
    throw new FurrowError('unavailable', 'BLOB_URL_BAD', message);
  }
  if (trust?.state !== 'tls') return url;
  const message = `the coordinator says that its files are at ${shown}, in plain text: this farm speaks TLS`;
  throw new FurrowError('unavailable', 'BLOB_URL_PLAINTEXT', message);
}

/** Ends as the source does, with its error or without. */
function paced({ rate }: HttpTarget, source: Readable): Readable {
  if (rate === undefined) return source;
  const slow = rate.stream();
  pipeline(source, slow, () => undefined);
  return slow;
}

/** A server that refuses early need not be sent the rest; its answer is still to be read. */
function stopSending(source: Readable, request: ClientRequest, response: IncomingMessage): void {
  source.unpipe(request);
  source.destroy();
  response.once('close', () => request.destroy());
}

function cannotRead(cause: Error): FurrowError {
  return new FurrowError('failed-precondition', 'CANNOT_READ', messageOf(cause), { cause });
}

/** The response's text; FurrowError with what the server said unless its status is a success. */
export async function readAnswer(target: HttpTarget, response: IncomingMessage): Promise<string> {
  const text = await readText(target, response);
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return text;
  throw errorFrom(status, text);
}

/** The response's text, whatever its status. FurrowError unavailable when it is cut. */
export async function readText(target: HttpTarget, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw new Error('the answer is too long');
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(target, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What a refusal means. The server's own words when it sent them. */
export function errorFrom(status: number, text: string): FurrowError {
  try {
    const said = JSON.parse(text) as Partial<Record<'code' | 'reason' | 'message', string>> & {
      readonly details?: ErrorDetails;
    };
    if (said.code !== undefined && said.reason !== undefined && said.message !== undefined) {
      const { details = {} } = said;
      return new FurrowError(said.code as ErrorCode, said.reason, said.message, { details });
    }
  } catch {
    // No JSON: a proxy's page, or an answer to HEAD, which has no body.
  }
  const code = CODES[status] ?? (status >= 500 ? 'unavailable' : 'invalid');
  return new FurrowError(
    code,
    'HTTP_STATUS',
    `the coordinator answered with HTTP status ${status}`,
  );
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  410: 'not-found',
  507: 'exhausted',
};

export function unreachable(target: HttpTarget, cause: unknown): FurrowError {
  const message = `the coordinator at ${target.url} cannot be reached: ${messageOf(cause)}`;
  return new FurrowError('unavailable', 'COORDINATOR_UNREACHABLE', message, { cause });
}
