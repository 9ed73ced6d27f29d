/** Blobs by their SHA-256: the digest of a file. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { buffersPassed } from './young-buffers.ts';

/** Bytes by name. */
export interface BlobName {
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

const SHA256 = /^[0-9a-f]{64}$/;

export const isSha256 = (text: string): boolean => SHA256.test(text);

/** Large enough that a read's cost is in the bytes, small enough that hashing one never stalls a loop. */
export const IO_CHUNK_BYTES = 512 * 1024;

export interface HashFileOptions {
  /** Only so many bytes from the start. */
  readonly lengthBytes?: number;
  readonly signal?: AbortSignal;
  /** Bytes hashed so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** Feeds a file, or its first `lengthBytes`, to `hash`; answers how many bytes there were. */
export async function hashFile(
  path: string,
  hash: Hash,
  options: HashFileOptions = {},
): Promise<number> {
  if (options.lengthBytes === 0) return 0;
  const stream = createReadStream(path, {
    highWaterMark: IO_CHUNK_BYTES,
    end: options.lengthBytes === undefined ? Infinity : options.lengthBytes - 1,
    signal: options.signal,
  });
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    buffersPassed(chunk.length);
    bytes += chunk.length;
    options.onProgress?.(bytes);
  }
  return bytes;
}

/** Digest and length of a file. Rejects with the file system's error, or the signal's AbortError. */
export async function sha256File(path: string, options?: HashFileOptions): Promise<BlobName> {
  const hash = createHash('sha256');
  const sizeBytes = await hashFile(path, hash, options);
  return { sha256: hash.digest('hex'), sizeBytes };
}
