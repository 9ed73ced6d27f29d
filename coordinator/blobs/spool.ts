/**
 * An upload's way onto the disk: admitted, hashed while it is written, checked, handed on under a name
 * that nobody else knows. Nothing of it is left afterwards, however it ends.
 */
import { createHash, randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HashingWriter } from '../../kit/hashing-writer.ts';
import type { BlobName } from '../../kit/sha256-file.ts';
import type { BlobStore, UploadPurpose } from '../ports.ts';
import { checkContent, diskFull } from './blob-errors.ts';
import { upTo } from './up-to.ts';

/**
 * `take` gets a file with the blob's bytes, and may move it away. Rejects with FurrowError: invalid
 * DIGEST_MISMATCH or SIZE_MISMATCH, exhausted DISK_FULL; else with the source's own error, or take's.
 */
export async function spool(
  { directory, space, flushesUploads }: Pick<BlobStore, 'directory' | 'space' | 'flushesUploads'>,
  blob: BlobName,
  source: Readable,
  purpose: UploadPurpose,
  take: (path: string) => Promise<void>,
): Promise<void> {
  const path = join(directory, 'incoming', randomUUID());
  const admission = await space.admit(blob.sizeBytes, purpose);
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      const hash = createHash('sha256');
      const writer = new HashingWriter(handle, hash, 0, flushesUploads);
      // The source is left open when it fails, so that the caller can still answer on its connection.
      const bytes = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
      await pipeline(upTo(blob.sizeBytes, bytes, admission.written), writer);
      checkContent(blob, { sha256: hash.digest('hex'), sizeBytes: writer.positionBytes });
      if (flushesUploads) await handle.sync();
    } finally {
      await handle.close();
    }
    await take(path);
  } catch (error) {
    throw diskFull(error);
  } finally {
    admission.end();
    await rm(path, { force: true });
  }
}
