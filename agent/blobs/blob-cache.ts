/**
 * Inputs on this agent's disk, bounded in bytes, least recently used out first.
 *
 *   files/ab/cdef…   whole; verified in this process, or before its next use
 *   incoming/        downloads; kept over a restart, so that they go on, for a day
 *
 * How an input gets into an attempt's directory, the cheapest safe way first: a reflink (own copy, no
 * bytes moved), else a hard link to a read-only file, else a copy. A link shares its bytes with the
 * cache, and read-only stops neither root nor a unit that is set on it. So a blob's size and time of
 * change are compared with those of when it was verified, before every use; and `altered` tells after
 * a run whether one of its inputs was written to meanwhile, by it or by a neighbour.
 *
 * In use, and never evicted: what is being fetched or placed, and what has links in attempts.
 */
import { chmod, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { unsafeName } from '../../kit/safe-name.ts';
import { isSha256, sha256File, type BlobName } from '../../kit/sha256-file.ts';
import { FilePlacer } from './file-placer.ts';
import { SharedWork } from './shared-work.ts';

/** A file as a unit names it. */
export interface InputFile extends BlobName {
  readonly name: string;
}

export interface BlobCacheOptions {
  /** The cache's own folder, best on the disk of the attempts. */
  readonly directory: string;
  /** Kept at most; what is in use may go beyond. */
  readonly maxBytes: number;
  readonly fetch: (blob: BlobName, path: string, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
}

interface Entry {
  readonly sizeBytes: number;
  /** Time of last change when the digest was verified; undefined: verify before use. */
  verifiedMtimeMs: number | undefined;
}

const KEEP_UNFINISHED_MS = 24 * 3600 * 1000;

/** Reads the folder; nothing is trusted before its digest was checked again. */
export async function openBlobCache(options: BlobCacheOptions): Promise<BlobCache> {
  for (const folder of ['files', 'incoming']) {
    await mkdir(join(options.directory, folder), { recursive: true });
  }
  await deleteStale(join(options.directory, 'incoming'));
  const found: { sha256: string; sizeBytes: number; usedMs: number }[] = [];
  const root = join(options.directory, 'files');
  for (const fan of await readdir(root)) {
    for (const name of await readdir(join(root, fan))) {
      const stats = await stat(join(root, fan, name));
      if (!isSha256(fan + name)) await rm(join(root, fan, name), { recursive: true });
      else found.push({ sha256: fan + name, sizeBytes: stats.size, usedMs: stats.atimeMs });
    }
  }
  // The least recently used first: the order of a Map is the order of its entries' last use.
  found.sort((a, b) => a.usedMs - b.usedMs);
  const entries = new Map<string, Entry>();
  for (const { sha256, sizeBytes } of found) {
    entries.set(sha256, { sizeBytes, verifiedMtimeMs: undefined });
  }
  const cache = new BlobCache(options, entries);
  await cache.evict();
  return cache;
}

/** Begun for a unit that was cancelled, or went elsewhere: nobody will go on with them. */
async function deleteStale(incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name);
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > KEEP_UNFINISHED_MS) await rm(path, { recursive: true });
  }
}

export class BlobCache {
  readonly #options: BlobCacheOptions;
  readonly #entries: Map<string, Entry>;
  readonly #readying = new SharedWork<Entry>();
  readonly #placer = new FilePlacer();
  readonly #inUse = new Map<string, number>();
  readonly #deleting = new Map<string, Promise<void>>();
  /** Of all entries: asked for after each file, of which there may be a hundred thousand. */
  #bytes = 0;

  constructor(options: BlobCacheOptions, entries: Map<string, Entry>) {
    this.#options = options;
    this.#entries = entries;
    for (const { sizeBytes } of entries.values()) this.#bytes += sizeBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(sha256: string): boolean {
    return this.#entries.has(sha256);
  }

  /**
   * Puts a file into `directory` under its name, read-only, verified. Fetches the blob when it is not
   * here; those who want the same one share the download. FurrowError: invalid UNSAFE_NAME, conflict
   * NAME_TAKEN, and what `fetch` throws.
   */
  async place(file: InputFile, directory: string, signal: AbortSignal): Promise<void> {
    const fault = unsafeName(file.name);
    if (fault !== undefined) {
      const message = `the input ${JSON.stringify(file.name)} has a bad name: ${fault}`;
      throw new FurrowError('invalid', 'UNSAFE_NAME', message);
    }
    if (!isSha256(file.sha256)) {
      throw new FurrowError('invalid', 'BAD_BLOB_NAME', `${file.name} names no SHA-256`);
    }
    this.#use(file.sha256, 1);
    try {
      await this.#readying.run(file.sha256, signal, (shared) => this.#ready(file, shared));
      const target = join(directory, file.name);
      await inFolder(target, () => this.#placer.place(this.#pathOf(file.sha256), target));
    } finally {
      this.#use(file.sha256, -1);
    }
    await this.evict();
  }

  /**
   * Takes a file just made into the cache, so that the next unit here need not fetch it. It becomes
   * read-only. Failing is harmless.
   */
  async add(path: string, { sha256, sizeBytes }: BlobName): Promise<void> {
    if (this.#entries.has(sha256) || this.#inUse.has(sha256)) return;
    this.#use(sha256, 1);
    try {
      const own = this.#pathOf(sha256);
      await inFolder(own, () => this.#placer.place(path, own));
      await chmod(own, 0o444);
      // Its digest is checked before its first use: nobody knows what happened since it was hashed.
      this.#enter(sha256, { sizeBytes, verifiedMtimeMs: undefined });
    } catch (error) {
      this.#options.log.debug({ sha256, error: messageOf(error) }, 'output not cached');
    } finally {
      this.#use(sha256, -1);
    }
    await this.evict();
  }

  /** Names of those files whose cached blob was written to since it was verified, which drops it. */
  async altered(files: readonly InputFile[]): Promise<string[]> {
    const names: string[] = [];
    for (const { name, sha256 } of files) {
      const entry = this.#entries.get(sha256);
      if (entry?.verifiedMtimeMs === undefined || (await this.#unchanged(sha256, entry))) continue;
      names.push(name);
      await this.#drop(sha256, 'it was written to');
    }
    return names;
  }

  /** Deletes the least recently used until the rest fits; skips what is in use. */
  async evict(maxBytes = this.#options.maxBytes): Promise<void> {
    if (this.#bytes <= maxBytes) return;
    for (const sha256 of this.#entries.keys()) {
      if (this.#bytes <= maxBytes) return;
      const links = (await stat(this.#pathOf(sha256)).catch(() => undefined))?.nlink ?? 0;
      if (links > 1 || this.#inUse.has(sha256) || !this.#entries.has(sha256)) continue;
      await this.#delete(sha256);
    }
  }

  /** Makes sure that the blob is here and what its name says. */
  async #ready(blob: BlobName, signal: AbortSignal): Promise<Entry> {
    const known = this.#entries.get(blob.sha256);
    if (known !== undefined && (await this.#verified(blob.sha256, known, signal))) {
      await this.#touch(blob.sha256, known);
      return known;
    }
    const incoming = join(this.#options.directory, 'incoming', blob.sha256);
    await this.#fetch(blob, incoming, signal);
    const path = this.#pathOf(blob.sha256);
    await this.#deleting.get(blob.sha256);
    await chmod(incoming, 0o444);
    await inFolder(path, () => rename(incoming, path));
    const entry: Entry = { sizeBytes: blob.sizeBytes, verifiedMtimeMs: 0 };
    await this.#touch(blob.sha256, entry, Date.now());
    return entry;
  }

  /** On a full disk, whatever nobody uses makes room; what cannot be had even then leaves nothing. */
  async #fetch(blob: BlobName, incoming: string, signal: AbortSignal): Promise<void> {
    const { fetch, log } = this.#options;
    try {
      await fetch(blob, incoming, signal);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      log.warn({ sha256: blob.sha256 }, 'disk full: cache emptied');
      await this.evict(0);
      await fetch(blob, incoming, signal).catch(async (again: unknown) => {
        if (isDiskFull(again)) await rm(incoming, { force: true });
        throw again;
      });
    }
  }

  async #verified(sha256: string, entry: Entry, signal: AbortSignal): Promise<boolean> {
    if (await this.#unchanged(sha256, entry)) return true;
    const before = await stat(this.#pathOf(sha256)).catch(() => undefined);
    const found =
      before && (await sha256File(this.#pathOf(sha256), { signal }).catch(() => undefined));
    signal.throwIfAborted();
    if (before !== undefined && found?.sha256 === sha256) {
      entry.verifiedMtimeMs = before.mtimeMs;
      // Written to while it was read: what was read may be neither the old bytes nor the new.
      if (await this.#unchanged(sha256, entry)) return true;
    }
    await this.#drop(sha256, 'its digest is wrong');
    return false;
  }

  async #unchanged(sha256: string, entry: Entry): Promise<boolean> {
    if (entry.verifiedMtimeMs === undefined) return false;
    const stats = await stat(this.#pathOf(sha256)).catch(() => undefined);
    return stats?.size === entry.sizeBytes && stats.mtimeMs === entry.verifiedMtimeMs;
  }

  async #drop(sha256: string, why: string): Promise<void> {
    this.#options.log.warn({ sha256, why }, 'cached blob dropped');
    await this.#delete(sha256);
  }

  async #delete(sha256: string): Promise<void> {
    this.#leave(sha256);
    const deleting = rm(this.#pathOf(sha256), { force: true });
    this.#deleting.set(sha256, deleting);
    try {
      await deleting;
    } finally {
      this.#deleting.delete(sha256);
    }
  }

  /** Now the most recently used, also after a restart: the file's access time says so. */
  async #touch(
    sha256: string,
    entry: Entry,
    changedMs = entry.verifiedMtimeMs ?? 0,
  ): Promise<void> {
    // Whole seconds survive the way through utimes unchanged on every file system.
    const mtimeS = Math.floor(changedMs / 1000);
    await utimes(this.#pathOf(sha256), Date.now() / 1000, mtimeS);
    entry.verifiedMtimeMs = mtimeS * 1000;
    this.#enter(sha256, entry);
  }

  /** Last in the order of use. */
  #enter(sha256: string, entry: Entry): void {
    this.#leave(sha256);
    this.#entries.set(sha256, entry);
    this.#bytes += entry.sizeBytes;
  }

  #leave(sha256: string): void {
    this.#bytes -= this.#entries.get(sha256)?.sizeBytes ?? 0;
    this.#entries.delete(sha256);
  }

  #use(sha256: string, change: 1 | -1): void {
    const uses = (this.#inUse.get(sha256) ?? 0) + change;
    if (uses === 0) this.#inUse.delete(sha256);
    else this.#inUse.set(sha256, uses);
  }

  #pathOf(sha256: string): string {
    return join(this.#options.directory, 'files', sha256.slice(0, 2), sha256.slice(2));
  }
}

/** Puts something at `path`. Its folder is made where it is missing: most often it is there. */
async function inFolder(path: string, put: () => Promise<void>): Promise<void> {
  try {
    await put();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    await put();
  }
}

function isDiskFull(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
