import { expect, test } from 'vitest';
import type { NatsConnection } from 'nats';
import { readHistory } from '../../../../coordinator/journal/history.ts';

test('while NATS is away a watcher is told to ask again, not that we are broken', async () => {
  const get = (): Promise<never> => Promise.reject(new Error('CONNECTION_CLOSED'));
  const nats = { jetstream: () => ({ consumers: { get } }) } as unknown as NatsConnection;
  await expect(readHistory(nats, 1, 2).next()).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'JOURNAL_UNREACHABLE',
    retryable: true,
  });
});
