/** Bytes of a picture's file from anywhere in it: where a picture tells of itself is not always its beginning. */
import { open, type FileHandle } from 'node:fs/promises';

export interface PictureBytes {
  /** Fewer at the file's end. */
  read(at: number, count: number): Promise<Buffer>;
}

const BLOCK_BYTES = 64 * 1024;

/** Keeps one block, as what tells of a picture lies close together. */
class PictureFile implements PictureBytes {
  readonly #file: FileHandle;
  #block = Buffer.alloc(0);
  #blockAt = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read(at: number, count: number): Promise<Buffer> {
    const end = at + count;
    if (at < this.#blockAt || end > this.#blockAt + this.#block.length) {
      const wanted = Buffer.allocUnsafe(Math.max(count, BLOCK_BYTES));
      const { bytesRead } = await this.#file.read(wanted, 0, wanted.length, at);
      this.#block = wanted.subarray(0, bytesRead);
      this.#blockAt = at;
    }
    return this.#block.subarray(at - this.#blockAt, end - this.#blockAt);
  }
}

/** Rejects with what the disk says. */
export async function withPictureBytes<T>(
  path: string,
  use: (bytes: PictureBytes) => Promise<T>,
): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(new PictureFile(file));
  } finally {
    await file.close();
  }
}

/** From `from` on, as if the file began there. */
export function bytesFrom(bytes: PictureBytes, from: number): PictureBytes {
  return { read: (at, count) => bytes.read(from + at, count) };
}
