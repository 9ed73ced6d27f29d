/**
 * Blobs over HTTP, the client's side: ask, upload, download. Everything is verified on this end too,
 * goes on where it stopped, tries again what may pass, and ends when the signal aborts (with the
 * signal's reason). Rejects with FurrowError.
 */
import { createHash } from 'node:crypto';
import { constants, open, rm, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { MAX_PUT_BYTES, PURPOSE_HEADER } from './blob-protocol.ts';
import { readFrom } from './file-source.ts';
import { FurrowError } from './furrow-error.ts';
import { HashingWriter } from './hashing-writer.ts';
import { readAnswer, sendRequest, unreachable, type HttpTarget } from './http-request.ts';
import { retrying } from './retry.ts';
import { hashFile, type BlobName } from './sha256-file.ts';
import { syncOrDelete } from './sync-or-delete.ts';
import { uploadResumably, uploadsInMemory, type UploadMemory } from './tus-upload.ts';

export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** Bytes done of this blob so far. */
  readonly onProgress?: (bytes: number) => void;
  /** Failures in a row without any progress before giving up. Default 8, about half a minute. */
  readonly attempts?: number;
}

export interface DownloadOptions extends TransferOptions {
  /** False where its digest is checked again after any restart: nothing waits for the disk. Default true. */
  readonly isSynced?: boolean;
}

export interface UploadOptions extends TransferOptions {
  /** True when an agent hands in the result of a lease. */
  readonly isResult?: boolean;
  /** The farm has just said that it has not got it: the first try does not ask again. */
  readonly isMissing?: boolean;
  /** Where begun uploads are remembered. Default: an upload resumes only within this call. */
  readonly memory?: UploadMemory;
}

const ATTEMPTS = 8;
const MAX_HASHES = 10_000;

/** Tries again what may pass, each time where the farm is by then. */
function retryingAt<T>(
  target: HttpTarget,
  options: TransferOptions,
  work: (moved: () => void) => Promise<T>,
): Promise<T> {
  let isFirst = true;
  return retrying({ attempts: ATTEMPTS, ...options }, async (moved) => {
    if (!isFirst) await target.lookAgain?.();
    isFirst = false;
    return work(moved);
  });
}

/** Which blobs the farm has not got. Those it has stay there for an hour. */
export async function findMissing(
  target: HttpTarget,
  hashes: readonly string[],
  options: TransferOptions = {},
): Promise<string[]> {
  const missing: string[] = [];
  for (let at = 0; at < hashes.length; at += MAX_HASHES) {
    const body = Buffer.from(JSON.stringify({ sha256: hashes.slice(at, at + MAX_HASHES) }));
    const text = await retryingAt(target, options, async () => {
      const response = await sendRequest(target, {
        method: 'POST',
        path: '/blobs/missing',
        headers: { 'content-type': 'application/json', 'content-length': body.length },
        body,
        signal: options.signal,
      });
      return readAnswer(target, response);
    });
    missing.push(...(JSON.parse(text) as { missing: string[] }).missing);
  }
  return missing;
}

/**
 * Brings a file, whose digest is known, to the farm unless it is there already. Settles when the farm
 * has it on disk. True when bytes had to be sent.
 */
export async function uploadBlob(
  target: HttpTarget,
  path: string,
  blob: BlobName,
  options: UploadOptions = {},
): Promise<boolean> {
  const { signal, onProgress, memory = uploadsInMemory() } = options;
  let sentBytes = 0;
  let isMissing = options.isMissing === true;
  const sending = retryingAt(target, options, async (moved) => {
    const missing = isMissing || (await isNotThere(target, blob, signal));
    isMissing = false;
    if (!missing) {
      onProgress?.(blob.sizeBytes);
      return false;
    }
    if (blob.sizeBytes <= MAX_PUT_BYTES) await putBlob(target, path, blob, options);
    else {
      await uploadResumably(target, path, blob, {
        ...options,
        memory,
        onProgress: (bytes) => {
          // Only bytes that no earlier try had sent are progress; else a farm that takes none would
          // be tried for ever.
          if (bytes > sentBytes + PROGRESS_BYTES) {
            sentBytes = bytes;
            moved();
          }
          onProgress?.(bytes);
        },
      });
    }
    return true;
  });
  return sending.catch((error: unknown) => {
    throw fileChanged(path, error);
  });
}

async function isNotThere(
  target: HttpTarget,
  { sha256 }: BlobName,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return (await findMissing(target, [sha256], { signal, attempts: 1 })).length > 0;
}

/** Bytes that are not what was hashed before: the fault is with the file, not with the request. */
function fileChanged(path: string, error: unknown): unknown {
  const reason = error instanceof FurrowError ? error.reason : '';
  if (reason !== 'DIGEST_MISMATCH' && reason !== 'SIZE_MISMATCH') return error;
  const message = `${path} changed while it was uploaded: try again when nobody writes to it`;
  return new FurrowError('data-loss', 'FILE_CHANGED', message, { cause: error });
}

/** More than fits into buffers on the way, so that it must have arrived. */
const PROGRESS_BYTES = 16 * 1024 * 1024;

async function putBlob(
  target: HttpTarget,
  path: string,
  blob: BlobName,
  { isResult, signal, onProgress }: UploadOptions,
): Promise<void> {
  const response = await sendRequest(target, {
    method: 'PUT',
    path: `/blobs/${blob.sha256}`,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': blob.sizeBytes,
      ...(isResult === true && { [PURPOSE_HEADER]: 'result' }),
    },
    body: () => readFrom(path, 0, { onBytes: onProgress }),
    signal,
  });
  await readAnswer(target, response);
}

/**
 * Brings a blob to `path`, verified and fsynced. What is at `path` already is taken for its beginning,
 * so a caller that keeps the file of a download that was cut goes on there. Wrong bytes are deleted, and
 * so is what the disk failed to keep.
 */
export async function downloadBlob(
  target: HttpTarget,
  blob: BlobName,
  path: string,
  options: DownloadOptions = {},
): Promise<void> {
  await retryingAt(target, options, async (moved) => {
    const { handle, isNew } = await openBegun(path);
    try {
      const offset = isNew ? 0 : (await handle.stat()).size;
      await fetchRest(target, blob, path, handle, offset, { ...options, moved });
      if (options.isSynced !== false) await syncOrDelete(handle, path);
    } finally {
      await handle.close();
    }
  });
}

/** Made where there is none: most blobs are fetched once, and each look at a disk counts where there are thousands. */
async function openBegun(path: string): Promise<{ handle: FileHandle; isNew: boolean }> {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  try {
    return { handle: await open(path, O_RDWR | O_CREAT | O_EXCL, 0o600), isNew: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { handle: await open(path, O_RDWR | O_CREAT, 0o600), isNew: false };
  }
}

async function fetchRest(
  target: HttpTarget,
  blob: BlobName,
  path: string,
  handle: FileHandle,
  begunBytes: number,
  options: TransferOptions & { readonly moved: () => void },
): Promise<void> {
  const { signal, onProgress, moved } = options;
  const hash = createHash('sha256');
  let offset = begunBytes;
  if (offset > blob.sizeBytes) {
    await handle.truncate(0);
    offset = 0;
  }
  await hashFile(path, hash, { lengthBytes: offset, signal });
  if (offset < blob.sizeBytes) {
    const response = await sendRequest(target, {
      method: 'GET',
      path: `/blobs/${blob.sha256}`,
      headers: offset === 0 ? {} : { range: `bytes=${offset}-`, 'if-range': `"${blob.sha256}"` },
      signal,
    });
    if (response.statusCode !== (offset === 0 ? 200 : 206)) {
      await readAnswer(target, response);
      throw new FurrowError('unavailable', 'RANGE_IGNORED', `${target.url} ignored the range`);
    }
    const writer = new HashingWriter(handle, hash, offset);
    response.on('data', (chunk: Buffer) => {
      moved();
      offset += chunk.length;
      onProgress?.(offset);
    });
    // Adding a listener starts the flow; it begins with the pipeline.
    response.pause();
    const { rate } = target;
    const steps = rate === undefined ? [response, writer] : [response, rate.stream(), writer];
    await pipeline(steps, { signal }).catch((error: NodeJS.ErrnoException) => {
      signal?.throwIfAborted();
      throw isDiskError(error) ? error : unreachable(target, error);
    });
  }
  if (hash.digest('hex') === blob.sha256 && offset === blob.sizeBytes) return;
  await rm(path, { force: true });
  throw await explainWrongBytes(target, blob, signal);
}

/**
 * The bytes are wrong: on the wire, on our disk, or on the farm's. The farm reads its copy again; when
 * that one is damaged we get its data-loss, else the download may be tried again.
 */
async function explainWrongBytes(
  target: HttpTarget,
  { sha256 }: BlobName,
  signal: AbortSignal | undefined,
): Promise<FurrowError> {
  const response = await sendRequest(target, {
    method: 'POST',
    path: `/blobs/${sha256}/verify`,
    signal,
    idleTimeoutMs: VERIFY_TIMEOUT_MS,
  });
  await readAnswer(target, response);
  const message = `blob ${sha256} arrived damaged from ${target.url}`;
  return new FurrowError('unavailable', 'BLOB_ARRIVED_DAMAGED', message);
}

/** Reading a large blob again takes a while, and no byte moves meanwhile. */
const VERIFY_TIMEOUT_MS = 30 * 60 * 1000;

const isDiskError = (error: NodeJS.ErrnoException): boolean =>
  ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EBADF'].includes(error.code ?? '');
