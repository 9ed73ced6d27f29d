import { expect, test } from 'vitest';
import type { NatsConnection } from 'nats';
import type { BlobStore } from '../../../coordinator/ports.ts';
import { createLog } from '../../../kit/log.ts';
import { SurroundingsWatch } from '../../../coordinator/surroundings.ts';

test('a disk that cannot be read is a warning, not the end of the coordinator', async () => {
  const nats = { status: async function* none() {} } as unknown as NatsConnection;
  const freeBytes = (): Promise<number> => Promise.reject(new Error('EIO: i/o error, statfs'));
  const trouble = async (): Promise<string> => 's3://films/ does not answer';
  const store = { location: 's3://films/', trouble, space: { freeBytes } } as unknown as BlobStore;
  const log = createLog({ role: 'test', level: 'silent' });
  const watch = new SurroundingsWatch({ nats, store, log, monitorUrls: [] });
  await watch.start();
  watch.stop();
  expect(watch.now().blobDiskWarning).toContain('EIO');
  expect(watch.now()).toMatchObject({
    blobStore: 's3://films/',
    blobStoreTrouble: 's3://films/ does not answer',
  });
});
