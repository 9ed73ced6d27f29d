/** Blobs by their SHA-256: the digest of a file, and a writer that hashes what it writes. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

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

/**
 * Writes to an open file from a position on and hashes the same bytes on the way, while the disk is
 * busy with them. It neither closes nor fsyncs the file: the owner of the handle does.
 */
export class HashingWriter extends Writable {
  readonly #handle: FileHandle;
  readonly #hash: Hash;
  #position: number;

  constructor(handle: FileHandle, hash: Hash, positionBytes: number) {
    super({ highWaterMark: 2 * IO_CHUNK_BYTES, decodeStrings: true });
    this.#handle = handle;
    this.#hash = hash;
    this.#position = positionBytes;
  }

  /** Where the next byte goes. */
  get positionBytes(): number {
    return this.#position;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    void this.#store([chunk], done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    void this.#store(
      chunks.map((entry) => entry.chunk),
      done,
    );
  }

  async #store(buffers: readonly Buffer[], done: (error?: Error | null) => void): Promise<void> {
    try {
      const writing = writeAll(this.#handle, buffers, this.#position);
      for (const buffer of buffers) this.#hash.update(buffer);
      this.#position += await writing;
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }
}

/** A write may take less than it was given: goes on until all is written. Answers the length. */
async function writeAll(
  handle: FileHandle,
  buffers: readonly Buffer[],
  positionBytes: number,
): Promise<number> {
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  const { bytesWritten } = await handle.writev(buffers, positionBytes);
  if (bytesWritten === total) return total;
  const rest = Buffer.concat(buffers).subarray(bytesWritten);
  for (let done = 0; done < rest.length;) {
    const at = positionBytes + bytesWritten + done;
    done += (await handle.write(rest, done, rest.length - done, at)).bytesWritten;
  }
  return total;
}
