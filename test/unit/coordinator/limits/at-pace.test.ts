import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { atPace } from '../../../../coordinator/limits/at-pace.ts';

const pace = { windowMs: 200, leastBytes: 10 };

async function* sender(count: number, bytes: number, pauseMs: number): AsyncGenerator<number> {
  for (let sent = 0; sent < count; sent += 1) {
    if (pauseMs > 0) await sleep(pauseMs);
    yield bytes;
  }
}

async function receive(messages: AsyncIterator<number>, busyMs = 0): Promise<number> {
  let received = 0;
  for await (const bytes of atPace(messages, (each) => each, pace)) {
    received += bytes;
    if (busyMs > 0) await sleep(busyMs);
  }
  return received;
}

test('who sends a little now and then is waited for no longer than the window', async () => {
  const refusal = expect.objectContaining({ reason: 'SENDER_TOO_SLOW' }) as object;
  await expect(receive(sender(1_000, 1, 30))).rejects.toEqual(refusal);
  await expect(receive(sender(1, 1, 60_000))).rejects.toEqual(refusal);
});

test('who keeps the pace is taken to the end, and our own slowness is not his', async () => {
  expect(await receive(sender(12, 10, 20))).toBe(120);
  expect(await receive(sender(8, 1, 0), 50)).toBe(8);
});
