/** What all blob stores say in the same words. */
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { BlobName } from '../../kit/sha256-file.ts';

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

/** An upload whose bytes the disk did not keep: its sender begins anew. */
export function uploadLost({ sha256 }: BlobName, cause: unknown): unknown {
  const told = diskFull(cause);
  if (told !== cause) return told;
  const message = `the coordinator's disk failed to keep the upload of ${sha256} (${messageOf(cause)}): send it again`;
  return new FurrowError('unavailable', 'UPLOAD_LOST', message, { cause });
}

export function blobMissing(sha256: string): FurrowError {
  return new FurrowError(
    'not-found',
    'BLOB_MISSING',
    `there is no blob ${sha256}: upload it first`,
  );
}
