/**
 * Files of unfinished uploads: tus's FileStore, but bytes are hashed while they arrive, room on the
 * disk is asked for, and a whole upload is moved into the store. The digest so far is kept in memory
 * only: after a restart a finished upload is read once more instead.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FileStore } from '@tus/file-store';
import type { Upload } from '@tus/server';
import { FurrowError } from '../../kit/furrow-error.ts';
import { HashingWriter } from '../../kit/hashing-writer.ts';
import { hashFile, isSha256, type BlobName } from '../../kit/sha256-file.ts';
import { purposeOf } from '../blobs/disk-space.ts';
import { checkContent, diskFull } from '../blobs/blob-errors.ts';
import { upTo } from '../blobs/up-to.ts';
import type { BlobStore } from '../ports.ts';

/** Digest of an upload's first `bytes`. */
interface Begun {
  readonly hash: Hash;
  readonly bytes: number;
}

export class UploadFiles extends FileStore {
  readonly #store: BlobStore;
  readonly #begun = new Map<string, Begun>();
  readonly #finishing = new Map<string, Promise<void>>();

  constructor(directory: string, store: BlobStore) {
    // tus makes the folder too, but later, and throws into the void when it cannot.
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    super({ directory });
    this.extensions = ['creation', 'creation-with-upload', 'termination'];
    this.#store = store;
  }

  override async write(source: Readable, id: string, offset: number): Promise<number> {
    const bytes = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    const { size, metadata } = await this.getUpload(id);
    return this.append({ id, size, metadata, offset }, bytes);
  }

  /** Appends until `source` ends. Answers where the next byte goes. */
  async append(
    { id, offset, size = 0, metadata }: Pick<Upload, 'id' | 'offset' | 'size' | 'metadata'>,
    source: AsyncIterable<Buffer>,
  ): Promise<number> {
    const leftBytes = Math.max(0, size - offset);
    const admission = await this.#store.space.admit(leftBytes, purposeOf(metadata?.['purpose']));
    const begun = this.#hashUpTo(id, offset);
    const handle = await open(join(this.directory, id), 'r+');
    try {
      // Without the digest of what came before there is nothing to go on with: `finish` will read all.
      const hash = begun?.hash ?? createHash('sha256');
      const writer = new HashingWriter(handle, hash, offset, this.#store.flushesUploads);
      await pipeline(upTo(leftBytes, source, admission.written), writer);
      if (begun !== undefined) this.#begun.set(id, { hash, bytes: writer.positionBytes });
      return writer.positionBytes;
    } catch (error) {
      throw diskFull(error);
    } finally {
      await handle.close();
      admission.end();
    }
  }

  override async remove(id: string): Promise<void> {
    this.#begun.delete(id);
    await super.remove(id);
  }

  /** Verifies a whole upload and moves it into the store. Wrong bytes are deleted. */
  async finish(id: string): Promise<void> {
    const running = this.#finishing.get(id) ?? this.#finish(id);
    this.#finishing.set(id, running);
    try {
      await running;
    } finally {
      this.#finishing.delete(id);
    }
  }

  /** Finishes an upload that has all its bytes; does nothing for others and for unknown ones. */
  async finishIfWhole(id: string): Promise<void> {
    const upload = await this.getUpload(id).catch(() => undefined);
    if (upload !== undefined && upload.offset === upload.size) await this.finish(id);
  }

  async #finish(id: string): Promise<void> {
    const upload = await this.getUpload(id);
    const path = join(this.directory, id);
    const blob = blobOf(upload.metadata?.['sha256'], upload.size);
    let begun = this.#begun.get(id);
    if (begun === undefined || begun.bytes !== blob.sizeBytes) {
      const hash = createHash('sha256');
      begun = { hash, bytes: await hashFile(path, hash) };
    }
    this.#begun.delete(id);
    try {
      checkContent(blob, { sha256: begun.hash.digest('hex'), sizeBytes: begun.bytes });
    } catch (error) {
      await this.remove(id);
      throw error;
    }
    await this.#store.adopt(path, blob, purposeOf(upload.metadata?.['purpose']));
    await this.configstore.delete(id);
  }

  /** Takes the running digest out, so that a write that fails half-way leaves none behind. */
  #hashUpTo(id: string, offset: number): Begun | undefined {
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (offset === 0) return { hash: createHash('sha256'), bytes: 0 };
    return begun?.bytes === offset ? begun : undefined;
  }
}

/** What an upload says it brings, checked. */
export function blobOf(sha256: string | null | undefined, sizeBytes: number | undefined): BlobName {
  if (!isSha256(sha256 ?? '')) {
    const message = 'Upload-Metadata must hold sha256: 64 lower-case hexadecimal digits, in base64';
    throw new FurrowError('invalid', 'BAD_BLOB_NAME', message);
  }
  if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes)) {
    throw new FurrowError('invalid', 'LENGTH_REQUIRED', 'Upload-Length must be given');
  }
  return { sha256: sha256 ?? '', sizeBytes };
}
