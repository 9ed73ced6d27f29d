/** FurrowError → HTTP: one table, one line of JSON. */
import type { ServerResponse } from 'node:http';
import {
  FurrowError,
  messageOf,
  TOO_MANY_REQUESTS,
  type ErrorCode,
} from '../../kit/furrow-error.ts';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  'not-found': 404,
  conflict: 409,
  'failed-precondition': 412,
  exhausted: 507,
  unauthenticated: 401,
  forbidden: 403,
  unavailable: 503,
  'timed-out': 504,
  aborted: 499,
  'data-loss': 500,
  internal: 500,
};

/** Reasons that HTTP has a status of its own for; 460 is tus's, for bytes that do not match their checksum. */
const STATUS_OF_REASON: Readonly<Record<string, number>> = {
  DIGEST_MISMATCH: 460,
  BODY_TOO_LARGE: 413,
  [TOO_MANY_REQUESTS]: 429,
  TOO_MANY_FAILED_LOGINS: 429,
};
const RETRY_AFTER_S = 1;

export function toFurrowError(thrown: unknown): FurrowError {
  if (thrown instanceof FurrowError) return thrown;
  return new FurrowError('internal', 'INTERNAL', messageOf(thrown), { cause: thrown });
}

export function statusOf(error: FurrowError): number {
  return STATUS_OF_REASON[error.reason] ?? STATUS[error.code];
}

/** `{"code","reason","message"}`, `details` where there are any, and a newline. */
export function bodyOf(error: FurrowError): string {
  const { code, reason, message, details } = error;
  const more = Object.keys(details).length === 0 ? {} : { details };
  return `${JSON.stringify({ code, reason, message, ...more })}\n`;
}

/** Answers with the error, or cuts the connection when an answer has begun already. */
export function sendError(response: ServerResponse, error: FurrowError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.code === 'unauthenticated') response.setHeader('WWW-Authenticate', 'Bearer');
  const status = statusOf(error);
  if (status === 429 || status === 503) response.setHeader('Retry-After', RETRY_AFTER_S);
  sendText(response, status, 'application/json', bodyOf(error));
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, 'application/json', `${JSON.stringify(value)}\n`);
}

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}
