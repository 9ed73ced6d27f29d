/** The blob store as attempts see it: inputs through the cache, outputs to the farm and into the cache. */
import { join } from 'node:path';
import { ByteRate } from '../kit/byte-rate.ts';
import type { Logger } from '../kit/log.ts';
import type { Trust } from '../kit/trust.ts';
import { openBlobCache } from './blobs/blob-cache.ts';
import { BlobClient } from './blobs/blob-client.ts';
import type { BlobTransfer } from './executor-ports.ts';

export interface BlobsOptions {
  /** Base address of the blob server. */
  readonly url: string;
  readonly token: string;
  readonly trust: Trust;
  /** The cache is in it. */
  readonly stateDirectory: string;
  readonly cacheBytes: number;
  readonly log: Logger;
}

export interface Blobs extends BlobTransfer {
  /** The coordinator says that the blob server is elsewhere now. */
  moveTo(url: string): void;
  /** Files come and go at so many bytes a second together; 0 for no limit. */
  limitRate(bytesPerSecond: number): void;
}

export async function openBlobs(options: BlobsOptions): Promise<Blobs> {
  const { url, token, trust, stateDirectory, cacheBytes, log } = options;
  const rate = new ByteRate();
  const target = { url, token, trust, rate };
  const client = new BlobClient(target, log);
  const cache = await openBlobCache({
    directory: join(stateDirectory, 'blobs'),
    maxBytes: cacheBytes,
    fetch: (blob, path, signal) => client.download(blob, path, signal),
    log,
  });
  return {
    moveTo: (elsewhere) => {
      target.url = elsewhere;
    },
    limitRate: (bytesPerSecond) => rate.limit(bytesPerSecond),
    place: (file, directory, signal) => cache.place(file, directory, signal),
    altered: (files) => cache.altered(files),
    store: (path, signal) => client.upload(path, signal),
    upload: async (path, signal) => {
      const blob = await client.upload(path, signal);
      // The next step's unit often runs here too.
      await cache.add(path, blob);
      return blob;
    },
  };
}
