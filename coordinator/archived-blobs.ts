/**
 * Which blobs archived jobs still need: their kept outputs. The archive is read one segment at a time and
 * each once, then two bytes a blob remain; after jobs of it were removed it is read again.
 */
import { BlobFilter } from './blobs/blob-filter.ts';
import type { Archive } from './domain/archive.ts';
import type { JobArchive } from './job-archive.ts';

export interface ArchivedBlobsOptions {
  readonly archive: Pick<JobArchive, 'readIndex'>;
  /** Outputs are kept so long after their job's end; 0 for ever. */
  readonly outputRetentionMs: number;
}

/** What has expired is found again when so much of the retention has passed. */
const EXPIRY_SHARE = 1 / 8;

export class ArchivedBlobs {
  readonly #options: ArchivedBlobsOptions;
  #filter = new BlobFilter();
  /** By segment that is in the filter: how many of its jobs were removed then. */
  #read = new Map<string, number>();
  #builtAtMs = 0;

  constructor(options: ArchivedBlobsOptions) {
    this.#options = options;
  }

  has(sha256: string): boolean {
    return this.#filter.has(sha256);
  }

  /**
   * Reads what it does not know yet. `nowMs` is Unix time. FurrowError: data-loss ARCHIVE_DAMAGED,
   * unavailable ARCHIVE_UNREACHABLE; then nothing is known of some blobs, and none should be deleted.
   */
  async refresh(archive: Archive, nowMs: number): Promise<void> {
    if (this.#isStale(archive, nowMs)) {
      this.#filter = new BlobFilter();
      this.#read = new Map();
      this.#builtAtMs = nowMs;
    }
    const { outputRetentionMs } = this.#options;
    for (const segment of archive) {
      if (this.#read.has(segment.name)) continue;
      for (const { view } of (await this.#options.archive.readIndex(segment)).values()) {
        if (segment.removed.includes(view.number)) continue;
        if (outputRetentionMs > 0 && nowMs - view.endedAtMs >= outputRetentionMs) continue;
        for (const file of view.outputs) this.#filter.add(file.sha256);
      }
      this.#read.set(segment.name, segment.removed.length);
    }
  }

  #isStale(archive: Archive, nowMs: number): boolean {
    const { outputRetentionMs } = this.#options;
    if (outputRetentionMs > 0 && nowMs - this.#builtAtMs >= outputRetentionMs * EXPIRY_SHARE) {
      return true;
    }
    const removedBySegment = new Map(archive.map(({ name, removed }) => [name, removed.length]));
    return [...this.#read].some(([name, removed]) => removedBySegment.get(name) !== removed);
  }
}
