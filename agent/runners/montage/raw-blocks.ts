/** Raw pictures and sound that ffmpeg left in the unit's directory, read a block at a time. */
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';

/** A file in blocks of so many bytes; the rest at its end only if `rest`. Nothing where there is no file. */
export async function* blocksOf(
  path: string,
  bytes: number,
  rest = false,
): AsyncGenerator<Uint8Array> {
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) return;
  let held: Uint8Array = new Uint8Array(0);
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) {
    const all = Buffer.concat([held, part as Buffer]);
    let at = 0;
    for (; at + bytes <= all.length; at += bytes) yield all.subarray(at, at + bytes);
    held = all.subarray(at);
  }
  if (rest && held.length > 0) yield held;
}

/** From 16-bit samples, low byte first, to -1 … 1. */
export function samplesOf(block: Uint8Array): Float32Array {
  return Float32Array.from(
    { length: block.length >> 1 },
    (_, i) => (((block[2 * i]! | (block[2 * i + 1]! << 8)) << 16) >> 16) / 32_768,
  );
}
