import { expect, test } from 'vitest';
import type { NatsConnection } from 'nats';
import type { DiskStore } from '../../../coordinator/blobs/disk-store.ts';
import { SurroundingsWatch } from '../../../coordinator/surroundings.ts';

test('a disk that cannot be read is a warning, not the end of the coordinator', async () => {
  const nats = { status: async function* none() {} } as unknown as NatsConnection;
  const freeBytes = (): Promise<number> => Promise.reject(new Error('EIO: i/o error, statfs'));
  const store = { space: { freeBytes } } as unknown as DiskStore;
  const watch = new SurroundingsWatch({ nats, store, monitorUrls: [] });
  await watch.start();
  watch.stop();
  expect(watch.now().blobDiskWarning).toContain('EIO');
});
