/** A file's bytes as a stream that counts. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { IO_CHUNK_BYTES } from './sha256-file.ts';

/** The bytes from `start` on; `onBytes` is told how many were read, beginning with none. */
export function readFrom(path: string, start: number, onBytes?: (bytes: number) => void): Readable {
  const stream = createReadStream(path, { start, highWaterMark: IO_CHUNK_BYTES });
  if (onBytes !== undefined) {
    let bytes = 0;
    stream.on('data', (chunk) => onBytes((bytes += chunk.length)));
    // Adding a listener starts the flow; it begins when somebody reads.
    stream.pause();
  }
  return stream;
}
