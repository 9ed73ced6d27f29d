/** The blob store that the settings name: our own disk, or a bucket. */
import { systemClock } from '../../kit/clock.ts';
import type { Logger } from '../../kit/log.ts';
import type { CoordinatorConfig } from '../config.ts';
import type { BlobStore } from '../ports.ts';
import { openDiskStore } from './disk-store.ts';

/** Rejects with FurrowError unavailable BLOB_STORE_REFUSED when the bucket is not to be had. */
export async function openBlobStore(config: CoordinatorConfig, log: Logger): Promise<BlobStore> {
  const own = {
    directory: config.home.coordinatorDir,
    clock: systemClock,
    log,
    ...(config.minFreeBytes === undefined ? {} : { minFreeBytes: config.minFreeBytes }),
  };
  if (config.blobs === undefined) return openDiskStore(own);
  // The client library is large: only a farm that uses it loads it.
  const { openS3Store } = await import('./s3-store.ts');
  const { bucket, prefix } = bucketOf(config.blobs);
  return openS3Store({
    ...own,
    bucket,
    prefix,
    endpoint: config.s3Endpoint,
    // A service of one's own has no regions, but signatures name one.
    region:
      config.s3Region ??
      process.env['AWS_REGION'] ??
      (config.s3Endpoint === undefined ? undefined : 'us-east-1'),
    isPathStyle: config.s3PathStyle ?? config.s3Endpoint !== undefined,
  });
}

/** s3://films/a/b → films, a/b/ */
function bucketOf(url: string): { readonly bucket: string; readonly prefix: string } {
  const [bucket = '', ...path] = url.slice('s3://'.length).split('/');
  const folders = path.filter((folder) => folder !== '');
  return { bucket, prefix: folders.map((folder) => `${folder}/`).join('') };
}
