/**
 * Which blobs the lists of files name that jobs still need. Each list is read once, then two bytes a blob
 * remain. What lists name that are needed no more may be kept a little longer: then all are read again.
 */
import { BlobFilter } from './blobs/blob-filter.ts';
import type { FileLists } from './file-lists.ts';

/** Read again when so many of those that are known are needed no more. */
const GONE_SHARE = 1 / 8;

export class ListedBlobs {
  readonly #lists: Pick<FileLists, 'hashesIn'>;
  #filter = new BlobFilter();
  #known = new Set<string>();

  constructor(lists: Pick<FileLists, 'hashesIn'>) {
    this.#lists = lists;
  }

  has(sha256: string): boolean {
    return this.#filter.has(sha256);
  }

  /**
   * Reads what it does not know yet of these lists, by hash. Rejects as the store does: then nothing is known of
   * some blobs, and none should be deleted.
   */
  async refresh(needed: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#known].filter((sha256) => !needed.has(sha256)).length;
    if (gone > this.#known.size * GONE_SHARE) {
      this.#filter = new BlobFilter();
      this.#known = new Set();
    }
    for (const sha256 of needed) {
      if (this.#known.has(sha256)) continue;
      for await (const hashes of this.#lists.hashesIn([{ sha256 }])) {
        for (const hash of hashes) this.#filter.add(hash);
      }
      this.#known.add(sha256);
    }
  }
}
