/**
 * One resumable upload by tus-js-client, which knows the protocol. Requests and file reads are ours:
 * its own leave read errors uncaught, wait for ever on an answer that is cut, and have no time-outs.
 */
import type { IncomingMessage } from 'node:http';
import { Upload, type DetailedError, type HttpStack } from 'tus-js-client';
import { PURPOSE_HEADER, UPLOADS_PATH } from './blob-protocol.ts';
import { readFrom } from './file-source.ts';
import { FurrowError } from './furrow-error.ts';
import {
  addressIn,
  errorFrom,
  readText,
  sendRequest,
  unreachable,
  type HttpTarget,
} from './http-request.ts';
import type { BlobName } from './sha256-file.ts';

/** Where begun uploads are remembered: address by digest. */
export interface UploadMemory {
  get(sha256: string): Promise<string | undefined>;
  set(sha256: string, url: string): Promise<void>;
  delete(sha256: string): Promise<void>;
}

/** Remembered for as long as this process lives. */
export function uploadsInMemory(): UploadMemory {
  const urls = new Map<string, string>();
  return {
    get: (sha256) => Promise.resolve(urls.get(sha256)),
    set: async (sha256, url) => void urls.set(sha256, url),
    delete: async (sha256) => void urls.delete(sha256),
  };
}

export interface ResumableUploadOptions {
  readonly isResult?: boolean;
  readonly memory: UploadMemory;
  readonly signal?: AbortSignal;
  /** Bytes that were sent so far. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * Sends a file, from where the farm says that an earlier try stopped. Settles when the farm has the
 * blob. Rejects with FurrowError; after a retryable one, call again to go on.
 */
export async function uploadResumably(
  target: HttpTarget,
  path: string,
  blob: BlobName,
  options: ResumableUploadOptions,
): Promise<void> {
  const { memory, signal, onProgress } = options;
  const knownUrl = await memory.get(blob.sha256);
  let saving = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      // The input is named by its path: tus-js-client hands it to `fileReader` unread.
      const upload = new Upload(Buffer.alloc(0), {
        endpoint: addressIn(target, UPLOADS_PATH).href,
        uploadUrl: knownUrl ?? null,
        metadata: { sha256: blob.sha256 },
        headers: options.isResult === true ? { [PURPOSE_HEADER]: 'result' } : {},
        uploadSize: blob.sizeBytes,
        fingerprint: () => Promise.resolve(blob.sha256),
        storeFingerprintForResuming: false,
        retryDelays: null,
        fileReader: {
          openFile: () =>
            Promise.resolve({
              size: blob.sizeBytes,
              slice: (start, end) =>
                Promise.resolve({ value: { path, start, size: end - start }, done: true }),
              close: () => undefined,
            }),
        },
        httpStack: httpStack(target, signal),
        onProgress: (bytes) => onProgress?.(bytes),
        onUploadUrlAvailable: () => {
          if (upload.url !== null) saving = memory.set(blob.sha256, upload.url);
        },
        onSuccess: () => resolve(),
        onError: (error) => reject(error),
      });
      upload.start();
    });
  } catch (error) {
    signal?.throwIfAborted();
    const told = tellError(target, error as Partial<DetailedError> & Error);
    if (!told.retryable) await memory.delete(blob.sha256);
    if (told.reason !== 'BLOB_EXISTS') throw told;
  } finally {
    await saving;
  }
  await memory.delete(blob.sha256);
}

/** What a slice of the file is for the two parts of ours that tus-js-client hands it between. */
interface FileSlice {
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

function httpStack(target: HttpTarget, signal: AbortSignal | undefined): HttpStack {
  return {
    getName: () => 'furrow',
    createRequest: (method, url) => {
      const headers: Record<string, string> = {};
      let onProgress: (bytes: number) => void = () => undefined;
      return {
        getMethod: () => method,
        getURL: () => url,
        setHeader: (name, value) => void (headers[name.toLowerCase()] = value),
        getHeader: (name) => headers[name.toLowerCase()],
        setProgressHandler: (handler) => void (onProgress = handler),
        send: async (slice: FileSlice | null) => {
          const response = await sendRequest(target, {
            method,
            // Only the path: the token is for the farm, whatever host an answer names.
            path: new URL(url).pathname,
            headers: { ...headers, 'content-length': slice?.size ?? 0 },
            body:
              slice === null
                ? undefined
                : () => readFrom(slice.path, slice.start, { onBytes: onProgress }),
            signal,
            idleTimeoutMs: FINISH_TIMEOUT_MS,
          });
          return answerOf(response, await readText(target, response));
        },
        abort: () => Promise.resolve(),
        getUnderlyingObject: () => undefined,
      };
    },
  };
}

/** After a restart the farm reads an upload once more before it answers the last byte. */
const FINISH_TIMEOUT_MS = 10 * 60 * 1000;

function answerOf(response: IncomingMessage, text: string) {
  return {
    getStatus: () => response.statusCode ?? 0,
    getHeader: (name: string) => {
      const value = response.headers[name.toLowerCase()];
      return typeof value === 'string' ? value : undefined;
    },
    getBody: () => text,
    getUnderlyingObject: () => response,
  };
}

/** The server's refusal, or ours; an upload that moved under us is asked for its offset again. */
function tellError(target: HttpTarget, error: Partial<DetailedError> & Error): FurrowError {
  const response = error.originalResponse;
  if (response === undefined || response === null) {
    const cause = error.causingError ?? error;
    return cause instanceof FurrowError ? cause : unreachable(target, cause);
  }
  const refusal = errorFrom(response.getStatus(), response.getBody());
  const passes = ['UPLOAD_OFFSET', 'UPLOAD_MISSING'].includes(refusal.reason);
  if (!passes && response.getStatus() !== 423) return refusal;
  return new FurrowError('unavailable', refusal.reason, refusal.message, { cause: refusal });
}
