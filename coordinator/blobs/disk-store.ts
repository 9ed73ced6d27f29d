/**
 * Blobs on the coordinator's disk, named by their SHA-256.
 *
 *   blobs/ab/cdef…   whole, verified, fsynced
 *   incoming/        being written; emptied at start
 *   quarantine/      was a blob once, and is damaged
 *
 * What always holds: a name under blobs/ was given only after its bytes were hashed and fsynced, and
 * nobody is told that a blob is here before its directory entry is fsynced too. What is here is known
 * from memory. Everything that changes one blob's file runs one after another.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../kit/clock.ts';
import { readFrom } from '../../kit/file-source.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { isSha256, sha256File, type BlobName } from '../../kit/sha256-file.ts';
import { syncOrDelete } from '../../kit/sync-or-delete.ts';
import type { BlobStore, ByteRange, Referenced, UploadPurpose } from '../ports.ts';
import { blobMissing, uploadLost } from './blob-errors.ts';
import { DiskGuard, diskSpace, type DiskSpace } from './disk-space.ts';
import { PIN_MS, Pins } from './pins.ts';
import { spool } from './spool.ts';
import { Turns } from './turns.ts';

export interface DiskStoreOptions {
  /** The store's own folder; made when it is not there. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Clients must leave so much free. Default 2 GiB or 5 % of the disk, whichever is smaller. */
  readonly minFreeBytes?: number;
  /** Room on the disk; tests put their own here. */
  readonly measureSpace?: () => Promise<DiskSpace>;
}

/** Opens the store: makes its folders, deletes what a crash left half-written, reads the names. */
export async function openDiskStore(options: DiskStoreOptions): Promise<DiskStore> {
  const { directory } = options;
  await rm(join(directory, 'incoming'), { recursive: true, force: true });
  for (const folder of ['incoming', 'quarantine', 'blobs']) {
    await mkdir(join(directory, folder), { recursive: true, mode: 0o700 });
  }
  // All fan-out folders at once, so that storing a blob never has to fsync more than one of them.
  for (const fan of FANS) await mkdir(join(directory, 'blobs', fan), { recursive: true });
  for (const folder of [join(directory, 'blobs'), directory]) await syncDirectory(folder);
  return new DiskStore(options, await readNames(join(directory, 'blobs')));
}

export class DiskStore implements BlobStore {
  readonly #options: DiskStoreOptions;
  readonly #sizes: Map<string, number>;
  readonly #pins: Pins;
  readonly #turns = new Turns();
  #reignMs: number;
  readonly space: DiskGuard;
  readonly flushesUploads = true;

  constructor(options: DiskStoreOptions, sizes: Map<string, number>) {
    this.#options = options;
    this.#sizes = sizes;
    this.#pins = new Pins(options.clock);
    this.#reignMs = options.clock.monotonicMs();
    this.space = new DiskGuard({
      measure: options.measureSpace ?? (() => diskSpace(options.directory)),
      clock: options.clock,
      minFreeBytes: options.minFreeBytes,
    });
  }

  get directory(): string {
    return this.#options.directory;
  }

  get location(): string {
    return this.#options.directory;
  }

  /** What is wrong with a disk shows when it is used. */
  async trouble(): Promise<undefined> {
    return undefined;
  }

  beginReign(): void {
    this.#reignMs = this.#options.clock.monotonicMs();
  }

  async sizeOf(sha256: string): Promise<number | undefined> {
    return this.#sizes.get(sha256);
  }

  async lookForMissing(hashes: readonly string[]): Promise<string[]> {
    return hashes.filter((sha256) => !this.#sizes.has(sha256));
  }

  async findMissing(hashes: readonly string[]): Promise<string[]> {
    return hashes.filter((sha256) => {
      if (!this.#sizes.has(sha256)) return true;
      this.#pins.pin(sha256, 'asked');
      return false;
    });
  }

  async receive(blob: BlobName, source: Readable, purpose: UploadPurpose): Promise<void> {
    await spool(this, blob, source, purpose, (path) => this.#settle(path, blob, purpose));
  }

  async adopt(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void> {
    const handle = await open(path, 'r+');
    try {
      await syncOrDelete(handle, path);
    } catch (error) {
      this.#options.log.error({ err: error, sha256: blob.sha256 }, 'disk failed to keep an upload');
      throw uploadLost(blob, error);
    } finally {
      await handle.close();
    }
    await this.#settle(path, blob, purpose);
    await rm(path, { force: true });
  }

  async read(sha256: string, range?: ByteRange): Promise<Readable> {
    const sizeBytes = this.#sizes.get(sha256);
    if (sizeBytes === undefined) throw blobMissing(sha256);
    const handle = await open(this.#pathOf(sha256), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    const storedBytes = handle === undefined ? 0 : await statSize(handle);
    if (handle === undefined || storedBytes !== sizeBytes) {
      await handle?.close();
      throw await this.#quarantine(sha256, `${storedBytes} bytes where ${sizeBytes} were stored`);
    }
    return readFrom(handle, range?.start ?? 0, { end: range?.end });
  }

  async verify(sha256: string): Promise<void> {
    if (!this.#sizes.has(sha256)) throw blobMissing(sha256);
    const found = await sha256File(this.#pathOf(sha256)).catch((error: unknown) =>
      messageOf(error),
    );
    if (typeof found === 'string') throw await this.#quarantine(sha256, found);
    if (found.sha256 !== sha256) {
      throw await this.#quarantine(sha256, `its bytes have the digest ${found.sha256}`);
    }
  }

  async sweep(referenced: Referenced): Promise<number> {
    this.#pins.dropExpired();
    if (this.#options.clock.monotonicMs() - this.#reignMs < PIN_MS) return 0;
    let deleted = 0;
    for (const sha256 of this.#sizes.keys()) {
      const unused = () => !this.#pins.has(sha256, 'result') && this.#free(sha256, referenced);
      if (unused() && (await this.#delete(sha256, unused))) deleted += 1;
    }
    return deleted;
  }

  async release(hashes: readonly string[], referenced: Referenced): Promise<number> {
    let deleted = 0;
    for (const sha256 of hashes) {
      if (await this.#delete(sha256, () => this.#free(sha256, referenced))) deleted += 1;
    }
    return deleted;
  }

  #free(sha256: string, referenced: Referenced): boolean {
    return !this.#pins.has(sha256, 'asked') && !referenced(sha256);
  }

  #pathOf(sha256: string): string {
    return join(this.directory, 'blobs', sha256.slice(0, 2), sha256.slice(2));
  }

  /** Gives a whole, fsynced file its name. Whoever asks from now on is told that it is here. */
  async #settle(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void> {
    await this.#turns.run(blob.sha256, async () => {
      if (!this.#sizes.has(blob.sha256)) {
        const target = this.#pathOf(blob.sha256);
        await rename(path, target);
        await syncDirectory(join(target, '..'));
        this.#sizes.set(blob.sha256, blob.sizeBytes);
      }
      this.#pins.pin(blob.sha256, purpose === 'result' ? 'result' : 'asked');
    });
  }

  async #delete(sha256: string, mayGo: () => boolean): Promise<boolean> {
    return this.#turns.run(sha256, async () => {
      // Asked again in the same breath as the name goes: nobody can be told "it is here" in between.
      if (!mayGo() || !this.#sizes.delete(sha256)) return false;
      await unlink(this.#pathOf(sha256)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      return true;
    });
  }

  async #quarantine(sha256: string, what: string): Promise<FurrowError> {
    await this.#turns.run(sha256, async () => {
      if (!this.#sizes.delete(sha256)) return;
      const kept = join(this.directory, 'quarantine', `${sha256}.${randomUUID()}`);
      this.#options.log.error({ sha256, what, kept }, 'stored blob is damaged');
      await rename(this.#pathOf(sha256), kept).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    });
    const message = `blob ${sha256} is damaged on the coordinator's disk (${what}): upload it again`;
    return new FurrowError('data-loss', 'BLOB_DAMAGED', message);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const FANS = Array.from({ length: 256 }, (_, fan) => fan.toString(16).padStart(2, '0'));

async function readNames(root: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const fan of FANS) {
    const names = await readdir(join(root, fan));
    await Promise.all(
      names.map(async (name) => {
        const sha256 = fan + name;
        if (isSha256(sha256)) sizes.set(sha256, (await stat(join(root, fan, name))).size);
      }),
    );
  }
  return sizes;
}

async function statSize(handle: FileHandle): Promise<number> {
  return (await handle.stat()).size;
}
