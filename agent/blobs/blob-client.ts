/** The agent's way to the farm's blobs: downloads into a file, uploads of results. */
import type { Logger } from '../../kit/log.ts';
import { downloadBlob, uploadBlob } from '../../kit/blob-transfer.ts';
import type { HttpTarget } from '../../kit/http-request.ts';
import { sha256File, type BlobName } from '../../kit/sha256-file.ts';
import { uploadsInMemory } from '../../kit/tus-upload.ts';

export class BlobClient {
  readonly #target: HttpTarget;
  readonly #log: Logger;
  /** Begun uploads, so that a result offered again goes on where the last offer was cut. */
  readonly #begun = uploadsInMemory();

  constructor(target: HttpTarget, log: Logger) {
    this.#target = target;
    this.#log = log;
  }

  /**
   * Brings a blob to `path`, verified; what is there already is taken for its beginning. It may be lost or damaged
   * by a loss of power: who keeps it over a restart checks it again.
   * FurrowError: unavailable after half a minute without a byte; data-loss BLOB_DAMAGED when the
   * farm's own copy is damaged. The signal's reason when aborted.
   */
  async download(blob: BlobName, path: string, signal: AbortSignal): Promise<void> {
    await downloadBlob(this.#target, blob, path, { signal, isSynced: false });
    this.#log.debug({ sha256: blob.sha256, sizeBytes: blob.sizeBytes }, 'blob fetched');
  }

  /** Hashes a file and brings it to the farm unless it is there. Errors as `download`. */
  async upload(path: string, signal: AbortSignal): Promise<BlobName> {
    const blob = await sha256File(path, { signal });
    const sent = await uploadBlob(this.#target, path, blob, {
      signal,
      isResult: true,
      memory: this.#begun,
    });
    this.#log.debug({ ...blob, sent }, 'blob stored');
    return blob;
  }
}
