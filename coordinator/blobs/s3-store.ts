/**
 * Blobs in a bucket that every coordinator of the farm reaches.
 *
 *   <prefix>blobs/<sha256>.<epoch>   whole and verified, put there in that reign
 *   incoming/, uploads/              on this coordinator's own disk: uploads that are not whole yet
 *
 * An upload lands on our disk first, whoever sends it and how slowly, and goes to the bucket when it is
 * whole and its digest is right: a slow sender holds no memory, a sender is never asked again because
 * the bucket paused, and no wrong byte gets that far. So an upload that was cut goes on only at the
 * coordinator where it began; at another it begins anew.
 *
 * What always holds: an object's name appears only after the digest of the bytes sent was compared.
 * What deletes or names one blob's object, and what looks for it, runs one after another. What is here
 * is asked of the bucket; a yes is remembered for a while, a no never.
 *
 * Why no deposed leader takes away what its successor relies on, however late its deletes arrive (a
 * bucket has no fence, and a process may sleep between its decision and its request):
 * - A leader deletes only objects of its own epoch and of earlier ones, and only blobs that its farm did
 *   not refer to at a moment at which it led (see the sweeper). What it decides to refer to later it has
 *   looked for after the delete.
 * - So a blob that the farm refers to when a reign begins is safe from all leaders before it.
 * - Of any other blob, only objects of the new epoch count: one that is there from before is copied,
 *   within the service, before anybody is told that it is here or anything refers to it.
 */
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { isSha256, type BlobName } from '../../kit/sha256-file.ts';
import type { BlobReign, BlobStore, ByteRange, Referenced, UploadPurpose } from '../ports.ts';
import { blobMissing } from './blob-errors.ts';
import { ByteBudget } from './byte-budget.ts';
import { DiskGuard, diskSpace } from './disk-space.ts';
import { PIN_MS, Pins } from './pins.ts';
import { type ListedObject, S3Bucket, type S3Settings } from './s3-bucket.ts';
import { uploadFile } from './s3-upload.ts';
import { type Copy, SeenCopies } from './seen-copies.ts';
import { spool } from './spool.ts';
import { Turns } from './turns.ts';

export interface S3StoreOptions extends S3Settings {
  /** For uploads that are not whole yet; made when it is not there. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Clients must leave so much of our disk free. Default 2 GiB or 5 %, whichever is smaller. */
  readonly minFreeBytes?: number;
}

/** Of bytes on their way to the bucket. */
const MEMORY_BYTES = 64 * 1024 * 1024;
const QUESTIONS_AT_ONCE = 32;
const DELETES_AT_ONCE = 8;
/** What a service copies in one request; a larger blob is sent again. */
const MAX_COPY_BYTES = 5 * 1024 ** 3;
/** Parts of an upload that a crash ended. */
const KEEP_UNFINISHED_MS = 24 * 3600 * 1000;

/**
 * Rejects with FurrowError unavailable BLOB_STORE_REFUSED when the service says no. One that does not
 * answer may come later, and is only told of.
 */
export async function openS3Store(options: S3StoreOptions): Promise<S3Store> {
  await rm(join(options.directory, 'incoming'), { recursive: true, force: true });
  await mkdir(join(options.directory, 'incoming'), { recursive: true, mode: 0o700 });
  const store = new S3Store(options);
  await store.probe().catch((error: unknown) => {
    if (error instanceof FurrowError && error.reason !== 'BLOB_STORE_UNREACHABLE') throw error;
    options.log.warn({ error: messageOf(error) }, 'blob store does not answer yet');
  });
  return store;
}

export class S3Store implements BlobStore {
  readonly #options: S3StoreOptions;
  readonly #bucket: S3Bucket;
  readonly #seen: SeenCopies;
  readonly #pins: Pins;
  readonly #turns = new Turns();
  readonly #budget = new ByteBudget(MEMORY_BYTES);
  readonly space: DiskGuard;
  /** What counts is in the bucket before anybody is told. */
  readonly flushesUploads = false;
  #reignMs: number;
  #epoch = 0;
  /** No leader before this one deletes them. */
  #safe: ReadonlySet<string> = new Set();

  constructor(options: S3StoreOptions) {
    this.#options = options;
    this.#bucket = new S3Bucket(options);
    this.#seen = new SeenCopies(options.clock);
    this.#pins = new Pins(options.clock);
    this.#reignMs = options.clock.monotonicMs();
    this.space = new DiskGuard({
      measure: () => diskSpace(options.directory),
      clock: options.clock,
      minFreeBytes: options.minFreeBytes,
    });
  }

  get location(): string {
    return this.#bucket.location;
  }

  get directory(): string {
    return this.#options.directory;
  }

  /** Ends its connections; the store is not used any more. */
  close(): void {
    this.#bucket.close();
  }

  async probe(): Promise<void> {
    await this.#bucket.probe();
  }

  async trouble(): Promise<string | undefined> {
    return this.probe().then(() => undefined, messageOf);
  }

  beginReign({ epoch, referenced }: BlobReign): void {
    this.#reignMs = this.#options.clock.monotonicMs();
    this.#epoch = epoch;
    this.#safe = referenced();
    // Another led until now, and deleted what it saw fit.
    this.#seen.clear();
  }

  async sizeOf(sha256: string): Promise<number | undefined> {
    return (await this.#find(sha256))?.sizeBytes;
  }

  async findMissing(hashes: readonly string[]): Promise<string[]> {
    // Pinned before it is looked for: no delete may begin between the answer and the pin.
    for (const sha256 of hashes) this.#pins.pin(sha256, 'asked');
    return this.lookForMissing(hashes);
  }

  async lookForMissing(hashes: readonly string[]): Promise<string[]> {
    const missing = new Set<string>();
    await eachOf(hashes, QUESTIONS_AT_ONCE, async (sha256) => {
      if (!(await this.#keep(sha256))) missing.add(sha256);
    });
    return hashes.filter((sha256) => missing.has(sha256));
  }

  async receive(blob: BlobName, source: Readable, purpose: UploadPurpose): Promise<void> {
    await spool(this, blob, source, purpose, (path) => this.#store(path, blob, purpose));
  }

  async adopt(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void> {
    await this.#store(path, blob, purpose);
    await rm(path, { force: true });
  }

  async read(sha256: string, range?: ByteRange): Promise<Readable> {
    const copy = await this.#find(sha256);
    if (copy === undefined) throw blobMissing(sha256);
    const wanted = rangeHeader(copy.sizeBytes, range);
    if (wanted.state === 'nothing') return Readable.from([], { objectMode: false });
    const stream = await this.#bucket.read(copy.key, wanted.header);
    if (stream === undefined) {
      this.#seen.forget(sha256);
      throw blobMissing(sha256);
    }
    return stream;
  }

  async verify(sha256: string): Promise<void> {
    const found = await this.#digestOf(sha256);
    if (found === sha256) return;
    // The only copy is not thrown away because a network changed it on its way here.
    if ((await this.#digestOf(sha256)) !== found) {
      const message = `blob ${sha256} came with other bytes each time it was read: check the network to ${this.location}`;
      throw new FurrowError('unavailable', 'BLOB_STORE_UNREACHABLE', message);
    }
    this.#options.log.error({ sha256, found }, 'stored blob is damaged, and deleted');
    await this.#delete(sha256, () => true);
    const message = `blob ${sha256} was damaged in ${this.location} (its bytes have the digest ${found}): upload it again`;
    throw new FurrowError('data-loss', 'BLOB_DAMAGED', message);
  }

  async sweep(referenced: Referenced): Promise<number> {
    this.#pins.dropExpired();
    if (this.#options.clock.monotonicMs() - this.#reignMs < PIN_MS) return 0;
    await this.#abortStale();
    let deleted = 0;
    for await (const page of this.#pagesOfOld()) {
      await eachOf(page, DELETES_AT_ONCE, async (sha256) => {
        const unused = () => !this.#pins.has(sha256, 'result') && this.#free(sha256, referenced);
        if (unused() && (await this.#delete(sha256, unused))) deleted += 1;
      });
    }
    return deleted;
  }

  async release(hashes: readonly string[], referenced: Referenced): Promise<number> {
    let deleted = 0;
    await eachOf(hashes, DELETES_AT_ONCE, async (sha256) => {
      const unused = () => this.#free(sha256, referenced);
      if (unused() && (await this.#delete(sha256, unused))) deleted += 1;
    });
    return deleted;
  }

  get #root(): string {
    return `${this.#options.prefix}blobs/`;
  }

  /** Of what is put there in this reign. */
  #keyOf(sha256: string): string {
    return `${this.#root}${sha256}.${this.#epoch}`;
  }

  #free(sha256: string, referenced: Referenced): boolean {
    return !this.#pins.has(sha256, 'asked') && !referenced(sha256);
  }

  async #find(sha256: string): Promise<Copy | undefined> {
    // In turn: a delete that is under way would make the answer untrue.
    return this.#seen.get(sha256) ?? this.#turns.run(sha256, () => this.#look(sha256));
  }

  /** The newest copy: one of an earlier reign may go. */
  async #look(sha256: string): Promise<Copy | undefined> {
    let newest: Copy | undefined;
    for await (const { key, sizeBytes } of this.#bucket.list(`${this.#root}${sha256}`)) {
      const epoch = nameIn(key.slice(this.#root.length))?.epoch;
      if (epoch === undefined || epoch < (newest?.epoch ?? 0)) continue;
      newest = { key, sizeBytes, epoch };
    }
    if (newest !== undefined) this.#seen.set(sha256, newest);
    return newest;
  }

  /** False when it is not here. True: no leader before this one takes it away. */
  async #keep(sha256: string): Promise<boolean> {
    const isKept = ({ epoch }: Copy): boolean => epoch >= this.#epoch || this.#safe.has(sha256);
    const known = this.#seen.get(sha256);
    if (known !== undefined && isKept(known)) return true;
    return this.#turns.run(sha256, async () => {
      const found = await this.#look(sha256);
      if (found === undefined || isKept(found)) return found !== undefined;
      const { sizeBytes } = found;
      const [key, epoch] = [this.#keyOf(sha256), this.#epoch];
      this.#seen.forget(sha256);
      if (sizeBytes > MAX_COPY_BYTES || !(await this.#bucket.copy(found.key, key))) return false;
      this.#seen.set(sha256, { key, sizeBytes, epoch });
      return true;
    });
  }

  async #store(path: string, blob: BlobName, purpose: UploadPurpose): Promise<void> {
    const { sha256, sizeBytes } = blob;
    this.#pins.pin(sha256, purpose === 'result' ? 'result' : 'asked');
    if (await this.#keep(sha256)) return;
    const [key, epoch] = [this.#keyOf(sha256), this.#epoch];
    await uploadFile(path, blob, {
      bucket: this.#bucket,
      key,
      budget: this.#budget,
      inTurn: (publish) =>
        this.#turns.run(sha256, async () => {
          await publish();
          this.#seen.set(sha256, { key, sizeBytes, epoch });
        }),
    });
  }

  /** True when something was there to delete. */
  async #delete(sha256: string, mayGo: () => boolean): Promise<boolean> {
    return this.#turns.run(sha256, async () => {
      if (!mayGo()) return false;
      this.#seen.forget(sha256);
      let isDeleted = false;
      for await (const { key } of this.#bucket.list(`${this.#root}${sha256}`)) {
        const epoch = nameIn(key.slice(this.#root.length))?.epoch ?? Infinity;
        if (epoch > this.#epoch) continue;
        await this.#bucket.delete(key);
        isDeleted = true;
      }
      return isDeleted;
    });
  }

  async #digestOf(sha256: string): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of (await this.read(sha256)) as AsyncIterable<Buffer>)
      hash.update(chunk);
    return hash.digest('hex');
  }

  /** Hashes of objects that are over an hour old, which a coordinator cannot have stored just now. */
  async *#pagesOfOld(): AsyncGenerator<readonly string[]> {
    const isOld = ({ modifiedMs }: ListedObject) =>
      this.#options.clock.wallMs() - modifiedMs > PIN_MS;
    let page: string[] = [];
    for await (const object of this.#bucket.list(this.#root)) {
      const name = nameIn(object.key.slice(this.#root.length));
      if (name !== undefined && isOld(object)) page.push(name.sha256);
      if (page.length < 1_000) continue;
      yield page;
      page = [];
    }
    yield page;
  }

  /** Not every service can list them, and none must: a bucket's life-cycle rule does as well. */
  async #abortStale(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      for (const upload of await this.#bucket.unfinishedUploads(this.#root)) {
        if (clock.wallMs() - upload.begunMs < KEEP_UNFINISHED_MS) continue;
        await this.#bucket.abortUpload(upload.key, upload.uploadId);
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'unfinished uploads to the blob store not cleaned');
    }
  }
}

/** `<sha256>.<epoch>`; undefined for what is none of ours. */
function nameIn(text: string): { readonly sha256: string; readonly epoch: number } | undefined {
  const [, sha256 = '', epoch] = /^([^.]+)\.(\d{1,15})$/.exec(text) ?? [];
  return isSha256(sha256) ? { sha256, epoch: Number(epoch) } : undefined;
}

type WantedBytes =
  | { readonly state: 'nothing' }
  | { readonly state: 'some'; readonly header: string | undefined };

function rangeHeader(sizeBytes: number, range: ByteRange | undefined): WantedBytes {
  const start = range?.start ?? 0;
  const end = Math.min(range?.end ?? Infinity, sizeBytes - 1);
  if (start > end) return { state: 'nothing' };
  const isAll = start === 0 && end === sizeBytes - 1;
  return { state: 'some', header: isAll ? undefined : `bytes=${start}-${end}` };
}

async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}
