/**
 * PATCH of a resumable upload (tus 1.0): appends the body. tus's own handler takes every byte through a
 * web stream and two more; here it goes from the request to the file. Its locks are shared: whoever asks
 * for an upload that another connection still writes gets it once that one is done or cut.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Locker } from '@tus/server';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { UploadFiles } from './upload-files.ts';
import { whileSilent } from './while-silent.ts';

const TUS_VERSION = '1.0.0';
const BODY_TYPE = 'application/offset+octet-stream';
/** An upload that another connection asks for may go on for so long. */
const RELEASE_AFTER_MS = 3_000;

/** Rejects with FurrowError, and with what tus's locks and files throw. */
export async function appendToUpload(
  files: UploadFiles,
  locker: Locker,
  id: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader('Tus-Resumable', TUS_VERSION);
  // A refusal leaves a body behind that nobody reads.
  response.setHeader('Connection', 'close');
  const offset = offsetIn(request);
  const { whole, bytes } = await withLock(locker, id, request, () =>
    append(files, id, offset, request),
  );
  // Reading a large upload once more, or bringing it to a bucket, moves no byte on this wire.
  if (whole) await whileSilent(request.socket, () => files.finish(id));
  response.removeHeader('Connection');
  response.writeHead(204, { 'Upload-Offset': bytes }).end();
}

async function append(
  files: UploadFiles,
  id: string,
  offset: number,
  request: IncomingMessage,
): Promise<{ readonly whole: boolean; readonly bytes: number }> {
  const upload = await files.getUpload(id);
  if (upload.offset !== offset) {
    const message = `the upload is at byte ${upload.offset}, not ${offset}: go on from there`;
    throw new FurrowError('conflict', 'UPLOAD_OFFSET', message);
  }
  const { size = 0 } = upload;
  const end = offset + Number(request.headers['content-length'] ?? 0);
  if (end > size) {
    const message = `the upload has ${size} bytes, and this would make it ${end}`;
    throw new FurrowError('invalid', 'SIZE_MISMATCH', message);
  }
  const bytes = await files.append(upload, untilCut(request));
  return { whole: bytes === size, bytes };
}

/** A connection that breaks ends the bytes: those that came are kept. */
async function* untilCut(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } catch (error) {
    if (!request.destroyed) throw error;
  }
}

function offsetIn({ headers }: IncomingMessage): number {
  const offset = headers['upload-offset'];
  const refuse = (what: string) => new FurrowError('invalid', 'BAD_UPLOAD', what);
  if (headers['tus-resumable'] !== TUS_VERSION)
    throw refuse(`Tus-Resumable must be ${TUS_VERSION}`);
  if (headers['content-type'] !== BODY_TYPE) throw refuse(`Content-Type must be ${BODY_TYPE}`);
  if (typeof offset !== 'string' || !/^\d{1,15}$/.test(offset)) {
    throw refuse('Upload-Offset must be given');
  }
  return Number(offset);
}

async function withLock<T>(
  locker: Locker,
  id: string,
  request: IncomingMessage,
  work: () => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  const leave = () => gone.abort();
  let cut: NodeJS.Timeout | undefined;
  const lock = locker.newLock(id);
  request.once('close', leave);
  try {
    await lock.lock(gone.signal, () => {
      cut ??= setTimeout(() => request.destroy(), RELEASE_AFTER_MS);
    });
  } finally {
    request.off('close', leave);
  }
  try {
    return await work();
  } finally {
    clearTimeout(cut);
    await lock.unlock();
  }
}
