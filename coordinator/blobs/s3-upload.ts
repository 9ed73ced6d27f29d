/**
 * A file becomes an object. What always holds: the object gets its name only after the digest of the
 * very bytes that were sent was compared; memory is bounded by the budget, whatever the file's size;
 * nothing half-sent is left, but for a crash (the store's sweep sees to that).
 */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { BlobName } from '../../kit/sha256-file.ts';
import { checkContent } from './blob-errors.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Part, S3Bucket } from './s3-bucket.ts';

const MIB = 1024 * 1024;
/** Up to here in one request. */
const PART_BYTES = 8 * MIB;
const MAX_PARTS = 10_000;
const PARTS_AT_ONCE = 4;

/** Parts of one length, the last shorter; longer ones where ten thousand would not do. */
function partBytesFor(sizeBytes: number): number {
  return Math.max(PART_BYTES, Math.ceil(sizeBytes / MAX_PARTS / MIB) * MIB);
}

export interface UploadTarget {
  readonly bucket: S3Bucket;
  readonly key: string;
  readonly budget: ByteBudget;
  /** Runs what makes the object visible. */
  readonly inTurn: (publish: () => Promise<void>) => Promise<void>;
}

/** Rejects with FurrowError: invalid DIGEST_MISMATCH or SIZE_MISMATCH; unavailable. */
export async function uploadFile(path: string, blob: BlobName, to: UploadTarget): Promise<void> {
  const file = await open(path, 'r');
  try {
    if (blob.sizeBytes <= PART_BYTES) await putWhole(file, blob, to);
    else await putParts(file, blob, to);
  } finally {
    await file.close();
  }
}

async function putWhole(file: FileHandle, blob: BlobName, to: UploadTarget): Promise<void> {
  const release = await to.budget.take(blob.sizeBytes);
  try {
    const bytes = await readExactly(file, 0, blob.sizeBytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    checkContent(blob, { sha256, sizeBytes: bytes.length });
    await to.inTurn(() => to.bucket.put(to.key, bytes, sha256));
  } finally {
    release();
  }
}

async function putParts(file: FileHandle, blob: BlobName, to: UploadTarget): Promise<void> {
  const { bucket, key } = to;
  const uploadId = await bucket.beginUpload(key);
  try {
    const { parts, sha256 } = await sendParts(file, blob, to, uploadId);
    checkContent(blob, { sha256, sizeBytes: blob.sizeBytes });
    await to.inTurn(() => bucket.completeUpload(key, uploadId, parts));
  } catch (error) {
    // The error that matters is the first; a service that is away keeps the parts until the sweep.
    await bucket.abortUpload(key, uploadId).catch(() => {});
    throw error;
  }
}

async function sendParts(
  file: FileHandle,
  { sizeBytes }: BlobName,
  { bucket, key, budget }: UploadTarget,
  uploadId: string,
): Promise<{ parts: readonly Part[]; sha256: string }> {
  const hash = createHash('sha256');
  const partBytes = partBytesFor(sizeBytes);
  const count = Math.ceil(sizeBytes / partBytes);
  const parts: Part[] = [];
  const underWay = new Set<Promise<void>>();
  let failure: unknown;
  for (let index = 0; index < count && failure === undefined; index += 1) {
    const release = await budget.take(partBytes);
    try {
      const bytes = await readExactly(file, index * partBytes, partLength(index));
      hash.update(bytes);
      const sending: Promise<void> = bucket
        .putPart(key, uploadId, index + 1, bytes)
        .then((part) => void (parts[index] = part))
        .catch((error: unknown) => void (failure ??= error))
        .finally(() => {
          release();
          underWay.delete(sending);
        });
      underWay.add(sending);
    } catch (error) {
      release();
      failure ??= error;
    }
    if (underWay.size >= PARTS_AT_ONCE) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  if (failure !== undefined) throw failure;
  return { parts, sha256: hash.digest('hex') };

  function partLength(index: number): number {
    return Math.min(partBytes, sizeBytes - index * partBytes);
  }
}

async function readExactly(file: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, at + done);
    if (bytesRead === 0) {
      const message = `an upload of ${at + bytes} bytes or more ends after ${at + done}: send it again`;
      throw new FurrowError('invalid', 'SIZE_MISMATCH', message);
    }
    done += bytesRead;
  }
  return buffer;
}
