/**
 * Blobs on the coordinator's disk, named by their SHA-256.
 *
 *   blobs/ab/cdef…   whole, verified, fsynced
 *   incoming/        being written; emptied at start
 *   quarantine/      was a blob once, and is damaged
 *
 * What always holds: a name under blobs/ was given only after its bytes were hashed and fsynced, and
 * nobody is told that a blob is here before its directory entry is fsynced too. `has` answers from
 * memory. Everything that changes one blob's file runs one after another.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import {
  HashingWriter,
  IO_CHUNK_BYTES,
  isSha256,
  sha256File,
  type BlobName,
} from '../../kit/sha256-file.ts';
import { DiskGuard, diskSpace, type DiskSpace, type UploadPurpose } from './disk-space.ts';
import { PIN_MS, Pins } from './pins.ts';

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

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** True for every blob that something decided or committed refers to. */
export type Referenced = (sha256: string) => boolean;

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

export class DiskStore {
  readonly #options: DiskStoreOptions;
  readonly #sizes: Map<string, number>;
  readonly #pins: Pins;
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #openedAtMs: number;
  readonly space: DiskGuard;

  constructor(options: DiskStoreOptions, sizes: Map<string, number>) {
    this.#options = options;
    this.#sizes = sizes;
    this.#pins = new Pins(options.clock);
    this.#openedAtMs = options.clock.monotonicMs();
    this.space = new DiskGuard({
      measure: options.measureSpace ?? (() => diskSpace(options.directory)),
      clock: options.clock,
      minFreeBytes: options.minFreeBytes,
    });
  }

  get directory(): string {
    return this.#options.directory;
  }

  has(sha256: string): boolean {
    return this.#sizes.has(sha256);
  }

  /** Length in bytes, or undefined when the blob is not here. */
  sizeOf(sha256: string): number | undefined {
    return this.#sizes.get(sha256);
  }

  /** Those that are not here, in the order asked; the others are pinned for an hour. */
  findMissing(hashes: readonly string[]): string[] {
    return hashes.filter((sha256) => {
      if (!this.#sizes.has(sha256)) return true;
      this.#pins.pin(sha256, 'asked');
      return false;
    });
  }

  /**
   * Stores what `source` yields. Settles when the blob is on disk. Rejects with FurrowError: invalid
   * DIGEST_MISMATCH or SIZE_MISMATCH, exhausted DISK_FULL; else with the source's own error.
   */
  async receive(blob: BlobName, source: Readable, purpose: UploadPurpose): Promise<void> {
    const path = join(this.directory, 'incoming', randomUUID());
    const admission = await this.space.admit(blob.sizeBytes, purpose);
    try {
      const handle = await open(path, 'wx', 0o600);
      try {
        const hash = createHash('sha256');
        const writer = new HashingWriter(handle, hash, 0);
        await pipeline(upTo(blob.sizeBytes, source, admission.written), writer);
        checkContent(blob, { sha256: hash.digest('hex'), sizeBytes: writer.positionBytes });
        await handle.sync();
      } finally {
        await handle.close();
      }
      await this.#settle(path, blob, purpose);
    } catch (error) {
      throw diskFull(error);
    } finally {
      admission.end();
      await rm(path, { force: true });
    }
  }

  /**
   * Takes a file on the same disk, whose content was hashed already, into the store without copying
   * it. The file is gone afterwards, also when its blob was here before.
   */
  async adopt(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void> {
    const handle = await open(path, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await this.#settle(path, blob, purpose);
    await rm(path, { force: true });
  }

  /**
   * A blob's bytes, or a range of them. Rejects with FurrowError: not-found BLOB_MISSING; data-loss
   * BLOB_DAMAGED, and then the blob is missing from now on, so that an upload mends it.
   */
  async read(sha256: string, range?: ByteRange): Promise<Readable> {
    const sizeBytes = this.#sizes.get(sha256);
    if (sizeBytes === undefined) throw missing(sha256);
    const handle = await open(this.#pathOf(sha256), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    const storedBytes = handle === undefined ? 0 : await statSize(handle);
    if (handle === undefined || storedBytes !== sizeBytes) {
      await handle?.close();
      throw await this.#quarantine(sha256, `${storedBytes} bytes where ${sizeBytes} were stored`);
    }
    return createReadStream('', {
      fd: handle,
      start: range?.start ?? 0,
      end: range?.end ?? Infinity,
      highWaterMark: IO_CHUNK_BYTES,
    });
  }

  /**
   * Reads a stored blob again, for a reader who got other bytes than its name promises. Rejects as
   * `read` does when they are not what they should be.
   */
  async verify(sha256: string): Promise<void> {
    if (!this.#sizes.has(sha256)) throw missing(sha256);
    const found = await sha256File(this.#pathOf(sha256)).catch((error: unknown) =>
      messageOf(error),
    );
    if (typeof found === 'string') throw await this.#quarantine(sha256, found);
    if (found.sha256 !== sha256) {
      throw await this.#quarantine(sha256, `its bytes have the digest ${found.sha256}`);
    }
  }

  /**
   * Deletes what nothing refers to and nobody was told about within the last hour. Answers how many
   * blobs went. Does nothing in the first hour, because pins do not survive a restart.
   */
  async sweep(referenced: Referenced): Promise<number> {
    this.#pins.dropExpired();
    if (this.#options.clock.monotonicMs() - this.#openedAtMs < PIN_MS) return 0;
    let deleted = 0;
    for (const sha256 of this.#sizes.keys()) {
      const unused = () => !this.#pins.has(sha256, 'result') && this.#free(sha256, referenced);
      if (unused() && (await this.#delete(sha256, unused))) deleted += 1;
    }
    return deleted;
  }

  /**
   * Deletes intermediates at once when their last consumer is done. Unlike `sweep` it does not wait
   * for the pin of the result that brought them, which is used up. Answers how many went.
   */
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
    await this.#inTurn(blob.sha256, async () => {
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
    return this.#inTurn(sha256, async () => {
      // Asked again in the same breath as the name goes: nobody can be told "it is here" in between.
      if (!mayGo() || !this.#sizes.delete(sha256)) return false;
      await unlink(this.#pathOf(sha256)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      return true;
    });
  }

  async #quarantine(sha256: string, what: string): Promise<FurrowError> {
    await this.#inTurn(sha256, async () => {
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

  /** Runs `work` when everything asked before for this blob is done. */
  async #inTurn<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(sha256) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(sha256, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(sha256) === mine) this.#queues.delete(sha256);
    }
  }
}

/** FurrowError invalid unless `found` is what `promised` says. */
export function checkContent(promised: BlobName, found: BlobName): void {
  if (found.sizeBytes !== promised.sizeBytes) {
    const message = `upload of ${promised.sha256}: got ${found.sizeBytes} bytes, not ${promised.sizeBytes}`;
    throw new FurrowError('invalid', 'SIZE_MISMATCH', message);
  }
  if (found.sha256 !== promised.sha256) {
    const message = `upload of ${promised.sha256}: its bytes have the digest ${found.sha256}`;
    throw new FurrowError('invalid', 'DIGEST_MISMATCH', message);
  }
}

/** A disk that fills up while we write says so in our words. */
export function diskFull(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  const message =
    "the coordinator's disk ran full during the upload: free some space, then try again";
  return new FurrowError('exhausted', 'DISK_FULL', message, { cause: error });
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

/**
 * Lets no more than the promised length through, so that a liar cannot fill the disk. The source is
 * left open when it fails, so that the caller can still answer on its connection.
 */
async function* upTo(
  sizeBytes: number,
  source: Readable,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > sizeBytes) {
      const message = `the upload is longer than the ${sizeBytes} bytes it promised`;
      throw new FurrowError('invalid', 'SIZE_MISMATCH', message);
    }
    onBytes(chunk.length);
    yield chunk;
  }
}

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

function missing(sha256: string): FurrowError {
  return new FurrowError(
    'not-found',
    'BLOB_MISSING',
    `there is no blob ${sha256}: upload it first`,
  );
}
