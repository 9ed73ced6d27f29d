/**
 * How many uploads have begun and not ended. Their bytes are bounded by the disk's reserve and their age by
 * a day; their number is bounded here, because each is two files.
 */
import { readdir } from 'node:fs/promises';
import { FurrowError } from '../../kit/furrow-error.ts';

const MOST = 10_000;
/** Those that ended meanwhile are still counted. */
const LOOK_EVERY_MS = 10_000;

export class HalfMadeUploads {
  readonly #directory: string;
  readonly #most: number;
  #count = 0;
  #lookedMs = -Infinity;

  constructor(directory: string, most = MOST) {
    this.#directory = directory;
    this.#most = most;
  }

  /** FurrowError exhausted TOO_MANY_UPLOADS when one more is one too many. */
  async admit(): Promise<void> {
    if (this.#count >= this.#most || performance.now() - this.#lookedMs > LOOK_EVERY_MS) {
      await this.#look();
    }
    if (this.#count >= this.#most) {
      const message = `${this.#most} uploads have begun and are not done: finish or delete some; those on which nothing moves end after a day`;
      throw new FurrowError('exhausted', 'TOO_MANY_UPLOADS', message);
    }
    this.#count += 1;
  }

  async #look(): Promise<void> {
    this.#lookedMs = performance.now();
    const names = await readdir(this.#directory);
    this.#count = names.filter((name) => name.endsWith('.json')).length;
  }
}
