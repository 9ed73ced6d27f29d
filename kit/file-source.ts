/** A file's bytes as a stream that counts. */
import { createReadStream, type ReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { IO_CHUNK_BYTES } from './sha256-file.ts';
import { buffersPassed } from './young-buffers.ts';

export interface ReadFromOptions {
  /** The last byte, included. Default: up to the file's end. */
  readonly end?: number;
  readonly signal?: AbortSignal;
  /** Told how many bytes were read, beginning with none. */
  readonly onBytes?: (bytes: number) => void;
}

/** The bytes from `start` on. A handle is closed when they were read. */
export function readFrom(
  file: string | FileHandle,
  start: number,
  { end, signal, onBytes }: ReadFromOptions = {},
): ReadStream {
  const isPath = typeof file === 'string';
  const stream = createReadStream(isPath ? file : '', {
    ...(!isPath && { fd: file }),
    start,
    end: end ?? Infinity,
    signal,
    highWaterMark: IO_CHUNK_BYTES,
  });
  let bytes = 0;
  stream.on('data', (chunk) => {
    onBytes?.((bytes += chunk.length));
    buffersPassed(chunk.length);
  });
  // Adding a listener starts the flow; it begins when somebody reads.
  stream.pause();
  return stream;
}
