/**
 * Writes to an open file from a position on and hashes the same bytes on the way, while the disk is
 * busy with them. It has the disk flush while more bytes come, so that the owner of the handle, who
 * fsyncs and closes it, waits only for the last few.
 */
import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { IO_CHUNK_BYTES } from './sha256-file.ts';
import { buffersPassed } from './young-buffers.ts';

/** A flush costs a commit of the file system's journal: not more often than after so much. */
const FLUSH_EVERY_BYTES = 8 * 1024 * 1024;

type Done = (error?: Error | null) => void;

export class HashingWriter extends Writable {
  readonly #handle: FileHandle;
  readonly #hash: Hash;
  #position: number;
  /** Up to here the disk has what the file says; 0 until a flush told so. */
  #durable = 0;
  #flushBegan: number;
  #storing: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #flushFailure: Error | undefined;
  readonly #flushes: boolean;

  /** `flushes`: false for a file that need not outlive a power loss. */
  constructor(handle: FileHandle, hash: Hash, positionBytes: number, flushes = true) {
    super({ highWaterMark: 2 * IO_CHUNK_BYTES, decodeStrings: true });
    this.#handle = handle;
    this.#hash = hash;
    this.#position = positionBytes;
    this.#flushBegan = positionBytes;
    this.#flushes = flushes;
  }

  /** Where the next byte goes. */
  get positionBytes(): number {
    return this.#position;
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#storing = this.#store([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#storing = this.#store(
      chunks.map((entry) => entry.chunk),
      done,
    );
  }

  override _final(done: Done): void {
    void Promise.resolve(this.#flushing).then(() => done(this.#flushFailure));
  }

  override _destroy(error: Error | null, done: Done): void {
    void this.#end(error, done);
  }

  async #store(buffers: readonly Buffer[], done: Done): Promise<void> {
    try {
      const writing = writeAll(this.#handle, buffers, this.#position);
      for (const buffer of buffers) this.#hash.update(buffer);
      const writtenBytes = await writing;
      this.#position += writtenBytes;
      buffersPassed(writtenBytes);
    } catch (error) {
      done(error as Error);
      return;
    }
    const unflushedBytes = this.#position - this.#flushBegan;
    if (this.#flushes && unflushedBytes >= FLUSH_EVERY_BYTES) this.#flushing ??= this.#flush();
    done(this.#flushFailure);
  }

  async #flush(): Promise<void> {
    this.#flushBegan = this.#position;
    const position = this.#position;
    try {
      await this.#handle.datasync();
      this.#durable = position;
    } catch (error) {
      this.#flushFailure = error as Error;
    } finally {
      this.#flushing = undefined;
    }
  }

  /**
   * The system reports bytes that it lost once, and the next flush succeeds without them: the file
   * must not keep what was not flushed, or whoever goes on with it would take it for durable.
   */
  async #settle(): Promise<void> {
    await this.#storing;
    await this.#flushing;
    if (this.#flushFailure === undefined) return;
    await this.#handle.truncate(this.#durable).catch(() => undefined);
  }

  async #end(error: Error | null, done: Done): Promise<void> {
    await this.#settle();
    done(error ?? this.#flushFailure);
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
