/**
 * Room on the blobs' disk. Uploads are admitted before their first byte, against what is free less
 * what admitted uploads may still write, so that many at once cannot overfill the disk together.
 * Results of leased units may use a reserve that clients may not: finished work is never refused while
 * new work is let in.
 */
import { statfs } from 'node:fs/promises';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Admission, UploadPurpose, UploadSpace } from '../ports.ts';

/** As a request says it. Anybody may say `result`: all it opens is the reserve. */
export const purposeOf = (text: unknown): UploadPurpose =>
  text === 'result' ? 'result' : 'client';

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

const CACHE_MS = 1000;
const DEFAULT_MIN_FREE_BYTES = 2 * 1024 ** 3;
const DEFAULT_MIN_FREE_SHARE = 0.05;
/** Results may go down to this share of what clients must leave free. */
const RESULT_SHARE = 0.25;

export interface DiskGuardOptions {
  readonly measure: () => Promise<DiskSpace>;
  readonly clock: Clock;
  /** Clients must leave so much free. Default 2 GiB or 5 % of the disk, whichever is smaller. */
  readonly minFreeBytes?: number;
}

export class DiskGuard implements UploadSpace {
  readonly #options: DiskGuardOptions;
  #measured: { readonly atMs: number; readonly space: Promise<DiskSpace> } | undefined;
  #admittedBytes = 0;

  constructor(options: DiskGuardOptions) {
    this.#options = options;
  }

  async admit(bytes: number, purpose: UploadPurpose): Promise<Admission> {
    const space = await this.#space();
    const keepBytes = this.#keepBytes(space, purpose);
    const freeBytes = Math.max(0, space.freeBytes - this.#admittedBytes);
    if (freeBytes - bytes < keepBytes) {
      throw new FurrowError(
        'exhausted',
        'DISK_FULL',
        `the coordinator's disk has ${sizeText(freeBytes)} free and keeps ${sizeText(keepBytes)} of it; ` +
          `this upload needs ${sizeText(bytes)}: make room on that disk, then try again`,
      );
    }
    this.#admittedBytes += bytes;
    let leftBytes = bytes;
    const give = (amount: number): void => {
      const given = Math.min(amount, leftBytes);
      leftBytes -= given;
      this.#admittedBytes -= given;
    };
    return { written: give, end: () => give(leftBytes) };
  }

  async freeBytes(): Promise<number> {
    const space = await this.#space();
    return Math.max(0, space.freeBytes - this.#admittedBytes);
  }

  async low(): Promise<boolean> {
    const space = await this.#space();
    return space.freeBytes - this.#admittedBytes < this.#keepBytes(space, 'client');
  }

  #keepBytes(space: DiskSpace, purpose: UploadPurpose): number {
    const keepBytes =
      this.#options.minFreeBytes ??
      Math.min(DEFAULT_MIN_FREE_BYTES, Math.floor(space.totalBytes * DEFAULT_MIN_FREE_SHARE));
    return purpose === 'result' ? Math.floor(keepBytes * RESULT_SHARE) : keepBytes;
  }

  #space(): Promise<DiskSpace> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#measured === undefined || nowMs - this.#measured.atMs >= CACHE_MS) {
      this.#measured = { atMs: nowMs, space: this.#options.measure() };
    }
    return this.#measured.space;
  }
}

/** Small sizes exactly, large ones as people say them. */
function sizeText(bytes: number): string {
  if (bytes < 2 ** 20) return `${bytes} bytes`;
  return bytes < 2 ** 30
    ? `${(bytes / 2 ** 20).toFixed(1)} MiB`
    : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Room on the disk that holds `directory`. */
export async function diskSpace(directory: string): Promise<DiskSpace> {
  const stats = await statfs(directory);
  return { freeBytes: stats.bavail * stats.bsize, totalBytes: stats.blocks * stats.bsize };
}
