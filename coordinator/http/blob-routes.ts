/**
 * Blobs over HTTP: read with ranges, ask which are missing, store a small one in a single request, and
 * have a doubtful one read again.
 *
 *   GET, HEAD /blobs/<sha256>        single Range, If-Range, ETag = "<sha256>"
 *   PUT       /blobs/<sha256>        up to MAX_PUT_BYTES, with Content-Length; larger ones go to /uploads
 *   POST      /blobs/<sha256>/verify reads it from disk again; data-loss when it is damaged
 *   POST      /blobs/missing         {"sha256":[…]} → {"missing":[…]}; those found stay for an hour
 *
 * A coordinator that stands by answers GET and HEAD, and for the rest names the leader (NOT_LEADER).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { JOB_HEADER, MAX_PUT_BYTES, PURPOSE_HEADER } from '../../kit/blob-protocol.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { isSha256 } from '../../kit/sha256-file.ts';
import type { Principal } from '../access.ts';
import type { BlobAccess } from '../blob-access.ts';
import { purposeOf } from '../blobs/disk-space.ts';
import type { BlobStore } from '../ports.ts';
import { sendError, sendJson } from './http-error.ts';
import { parseRange } from './range.ts';
import type { Route } from './route.ts';
import { whileSilent } from './while-silent.ts';

const MAX_HASHES = 10_000;
const MAX_QUESTION_BYTES = 1024 * 1024;
const YEAR_S = 365 * 24 * 3600;

export function blobRoutes(store: BlobStore, access: BlobAccess | undefined): Route[] {
  const named = (handle: (sha256: string, ...rest: Parameters<Route['handle']>) => Promise<void>) =>
    (async (request, response, path, principal) => {
      await handle(nameIn(path), request, response, path, principal);
    }) satisfies Route['handle'];
  const mustRead = async (
    sha256: string,
    { headers }: IncomingMessage,
    principal: Principal | undefined,
  ): Promise<void> => {
    const jobId = headers[JOB_HEADER];
    const named = typeof jobId === 'string' ? jobId : undefined;
    if (principal !== undefined) await access?.mustRead(principal, sha256, named);
  };
  const readBlob = named(async (sha256, request, response, _path, principal) => {
    await mustRead(sha256, request, principal);
    await sendBlob(store, sha256, request, response);
  });
  const ask: Route['handle'] = (request, response) => sendMissing(store, request, response);
  const put = named(async (sha256, request, response, _path, principal) => {
    if (principal !== undefined) access?.mustWrite(principal);
    await putBlob(store, sha256, request, response);
  });
  const verify = named(async (sha256, request, response, _path, principal) => {
    await mustRead(sha256, request, principal);
    await store.verify(sha256);
    sendJson(response, 200, { sha256, sizeBytes: await store.sizeOf(sha256) });
  });
  // Only the leader deletes, and so only the leader can say that a blob stays.
  const isLeaders = true;
  return [
    { door: 'POST /blobs/missing', path: '/blobs/missing', isLeaders, handle: ask },
    { door: 'GET /blobs/SHA256', path: BLOB_PATH, handle: readBlob },
    { door: 'HEAD /blobs/SHA256', path: BLOB_PATH, handle: readBlob },
    { door: 'PUT /blobs/SHA256', path: BLOB_PATH, isLeaders, handle: put },
    { door: 'POST /blobs/SHA256/verify', path: VERIFY_PATH, isLeaders, handle: verify },
  ];
}

const BLOB_PATH = /^\/blobs\/[^/]+$/;
const VERIFY_PATH = /^\/blobs\/[^/]+\/verify$/;

function nameIn(path: string): string {
  const sha256 = path.split('/')[2] ?? '';
  if (isSha256(sha256)) return sha256;
  const message = 'a blob is named by its SHA-256 in 64 lower-case hexadecimal digits';
  throw new FurrowError('invalid', 'BAD_BLOB_NAME', message);
}

async function sendBlob(
  store: BlobStore,
  sha256: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const sizeBytes = await whileSilent(request.socket, () => store.sizeOf(sha256));
  const etag = `"${sha256}"`;
  const ifRange = request.headers['if-range'];
  const asked = ifRange === undefined || ifRange === etag ? request.headers.range : undefined;
  const wanted = parseRange(asked, sizeBytes ?? 0);
  response.setHeader('Accept-Ranges', 'bytes');
  if (sizeBytes !== undefined && wanted.state === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${sizeBytes}`);
    const message = `blob ${sha256} has ${sizeBytes} bytes: the range asked for begins behind its end`;
    sendJson(response, 416, { code: 'invalid', reason: 'RANGE_NOT_SATISFIABLE', message });
    return;
  }
  const range = wanted.state === 'part' ? wanted.range : undefined;
  // Opened for HEAD too: a damaged blob must not be said to be here.
  const stream = await whileSilent(request.socket, () => store.read(sha256, range));
  const lengthBytes = range === undefined ? (sizeBytes ?? 0) : range.end - range.start + 1;
  response.writeHead(range === undefined ? 200 : 206, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': lengthBytes,
    ETag: etag,
    'Cache-Control': `private, max-age=${YEAR_S}, immutable`,
    ...(range && { 'Content-Range': `bytes ${range.start}-${range.end}/${sizeBytes}` }),
  });
  if (request.method === 'HEAD') {
    stream.destroy();
    response.end();
    return;
  }
  await pipeline(stream, response);
}

async function putBlob(
  store: BlobStore,
  sha256: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const length = request.headers['content-length'];
  if (length === undefined) {
    response.setHeader('Connection', 'close');
    throw new FurrowError('invalid', 'LENGTH_REQUIRED', 'PUT of a blob needs Content-Length');
  }
  const sizeBytes = Number(length);
  if (sizeBytes > MAX_PUT_BYTES) {
    response.setHeader('Connection', 'close');
    const message = `PUT takes up to ${MAX_PUT_BYTES} bytes: send larger blobs to /uploads (tus), which resumes`;
    sendJson(response, 413, { code: 'invalid', reason: 'BLOB_TOO_LARGE', message });
    return;
  }
  const purpose = purposeOf(request.headers[PURPOSE_HEADER]);
  const { socket } = request;
  const existed = await whileSilent(socket, () => store.sizeOf(sha256));
  // Once all bytes are here the silence is ours, while they go on to a store far away.
  const idleMs = socket.timeout ?? 0;
  request.once('end', () => socket.setTimeout(0));
  response.once('close', () => socket.setTimeout(idleMs));
  await store.receive({ sha256, sizeBytes }, request, purpose);
  sendJson(response, existed === undefined ? 201 : 200, { sha256, sizeBytes });
}

const question = z.object({
  sha256: z.array(z.string().refine(isSha256, 'not a SHA-256 in lower-case hex')).max(MAX_HASHES),
});

async function sendMissing(
  store: BlobStore,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parsed = question.safeParse(await readJson(request));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const message = `the question is not {"sha256":[…]}: ${issue?.path.join('.')}: ${issue?.message}`;
    sendError(response, new FurrowError('invalid', 'BAD_QUESTION', message));
    return;
  }
  const hashes = parsed.data.sha256;
  const missing = await whileSilent(request.socket, () => store.findMissing(hashes));
  sendJson(response, 200, { missing });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_QUESTION_BYTES) {
      throw new FurrowError('invalid', 'BODY_TOO_LARGE', `more than ${MAX_QUESTION_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new FurrowError('invalid', 'BAD_JSON', 'the body is not JSON', { cause: error });
  }
}
