/** What a writer makes of a journal that is shorter than what it wrote. */
import { expect, test } from 'vitest';
import { pino } from 'pino';
import {
  type CommitStream,
  JournalWriter,
  type RawMessage,
} from '../../../../coordinator/journal/journal-writer.ts';
import type { Clock } from '../../../../kit/clock.ts';

/** Pauses take no time. */
const clock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 1_800_000_000_000,
  after: (_delayMs, callback) => {
    const timer = setImmediate(callback);
    return () => clearImmediate(timer);
  },
};

/** A stream that loses the answer to the second append; what it then says of its end is the test's. */
class Stream implements CommitStream {
  readonly messages: RawMessage[] = [];
  confirmations = 0;
  tailAfterLoss: () => RawMessage | undefined = () => this.messages.at(-1);
  onConfirm: () => void = () => {};

  async publish(bytes: Uint8Array, expected: number) {
    if (expected !== this.messages.length) return { state: 'not-stored', message: '' } as const;
    const sequence = expected + 1;
    this.messages.push({ sequence, bytes });
    if (sequence === 2) return { state: 'unknown', message: 'TIMEOUT' } as const;
    return { state: 'stored', sequence } as const;
  }

  async readTail(): Promise<RawMessage | undefined> {
    return this.tailAfterLoss();
  }

  async confirm(): Promise<void> {
    this.confirmations += 1;
    this.onConfirm();
  }
}

async function leading(stream: Stream): Promise<JournalWriter> {
  const log = pino({ level: 'silent' });
  const writerId = new Uint8Array(16);
  const writer = new JournalWriter({ stream, clock, log, random: () => 0, writerId });
  expect(await writer.startEpoch(1, () => 'farm')).toMatchObject({ state: 'leading' });
  return writer;
}

test('a new leader of the stream that has not applied its log yet is not taken for a lost store', async () => {
  const stream = new Stream();
  const writer = await leading(stream);
  stream.tailAfterLoss = () => undefined;
  stream.onConfirm = () => (stream.tailAfterLoss = () => stream.messages.at(-1));
  expect(await writer.append([], 0)).toEqual({ state: 'committed', number: 2, sequence: 2 });
});

test('one that cannot confirm its short end is asked on', async () => {
  const stream = new Stream();
  const writer = await leading(stream);
  stream.tailAfterLoss = () => undefined;
  stream.onConfirm = () => {
    if (stream.confirmations < 20) throw new Error('no quorum');
    stream.tailAfterLoss = () => stream.messages.at(-1);
  };
  expect(await writer.append([], 0)).toMatchObject({ state: 'committed' });
});

test('a store that lost what was written, and confirms it, ends the writer', async () => {
  const stream = new Stream();
  const writer = await leading(stream);
  stream.tailAfterLoss = () => undefined;
  await expect(writer.append([], 0)).rejects.toMatchObject({ reason: 'STORE_REPLACED' });
  expect(stream.confirmations).toBe(1);
});
