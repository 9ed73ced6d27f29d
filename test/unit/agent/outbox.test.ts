import { expect, test } from 'vitest';
import { Outbox } from '../../../agent/outbox.ts';
import { Verdict, type Result, type ResultReply } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

const outbox = (): Outbox => new Outbox(() => 0.5);

function reply(results: readonly Result[] | null, ...verdicts: Verdict[]): ResultReply {
  return {
    farmId: 'farm',
    epoch: 1,
    verdicts: verdicts.map((verdict, index) => ({
      token: results?.[index]?.token,
      verdict,
      missing: verdict === Verdict.VERDICT_BLOB_MISSING ? ['aa'] : [],
    })),
  };
}

test('offers the oldest first, one batch at a time', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  box.put(resultOf(2), 0);
  const batch = box.nextBatch(0);
  expect(batch).toEqual([resultOf(1), resultOf(2)]);
  box.put(resultOf(3), 0);
  expect(box.nextBatch(0)).toBeNull();
  expect(box.nextDueMs()).toBeNull();
  box.settle(reply(batch, Verdict.VERDICT_ACCEPTED, Verdict.VERDICT_ACCEPTED), 0);
  expect(box.nextBatch(0)).toEqual([resultOf(3)]);
});

test('accepted, noted and stale results leave', () => {
  const box = outbox();
  for (const counter of [1, 2, 3]) box.put(resultOf(counter), 0);
  const batch = box.nextBatch(0);
  const { VERDICT_ACCEPTED, VERDICT_NOTED, VERDICT_STALE } = Verdict;
  expect(box.settle(reply(batch, VERDICT_ACCEPTED, VERDICT_NOTED, VERDICT_STALE), 0)).toEqual([
    { order: 'close', token: resultOf(1).token, stale: false },
    { order: 'close', token: resultOf(2).token, stale: false },
    { order: 'close', token: resultOf(3).token, stale: true },
  ]);
  expect(box.size).toBe(0);
});

test('without an answer it waits longer and longer, up to five seconds, and forgets the pauses on connect', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  let nowMs = 0;
  const pauses: number[] = [];
  for (let tries = 0; tries < 8; tries += 1) {
    expect(box.nextBatch(nowMs)).toHaveLength(1);
    box.settle(null, nowMs);
    expect(box.nextBatch(nowMs)).toBeNull();
    const dueMs = box.nextDueMs()!;
    pauses.push(dueMs - nowMs);
    nowMs = dueMs;
  }
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  box.nextBatch(nowMs);
  box.settle(null, nowMs);
  box.connected();
  expect(box.nextBatch(nowMs)).toHaveLength(1);
});

test('a result without a verdict is offered again later, others at once', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0);
  expect(box.settle(reply(batch, Verdict.VERDICT_UNSPECIFIED), 0)).toEqual([]);
  box.put(resultOf(2), 10);
  expect(box.nextBatch(10)).toEqual([resultOf(2)]);
  box.settle(reply([resultOf(2)], Verdict.VERDICT_ACCEPTED), 10);
  expect(box.nextDueMs()).toBe(250);
  expect(box.nextBatch(250)).toEqual([resultOf(1)]);
});

test('a missing blob is stored again before the result is offered again', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0);
  expect(box.settle(reply(batch, Verdict.VERDICT_BLOB_MISSING), 0)).toEqual([
    { order: 'store-again', result: resultOf(1), missing: ['aa'] },
  ]);
  expect(box.nextBatch(60_000)).toBeNull();
  expect(box.nextDueMs()).toBeNull();
  box.storedAgain(resultOf(1).token!, 1_000);
  expect(box.nextBatch(box.nextDueMs()!)).toEqual([resultOf(1)]);
});

test('a verdict on what was dropped meanwhile does nothing', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0);
  box.drop(resultOf(1).token!);
  expect(box.settle(reply(batch, Verdict.VERDICT_ACCEPTED), 0)).toEqual([]);
});

test('a verdict on what was replaced meanwhile is not one on the replacement', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0);
  const replacement = { ...resultOf(1), peakRamBytes: 5 };
  box.put(replacement, 0);
  expect(box.settle(reply(batch, Verdict.VERDICT_ACCEPTED), 0)).toEqual([]);
  expect(box.nextBatch(0)).toEqual([replacement]);
});

test('a batch stays below what one message may carry, but a large result still goes', () => {
  const box = outbox();
  const outputs = Array.from({ length: 4_000 }, (_unused, index) => ({
    name: `frame-${index}`,
    sha256: 'a'.repeat(64),
    sizeBytes: 1,
  }));
  const large = (counter: number): Result => ({
    ...resultOf(counter),
    outcome: { $case: 'success', value: { outputs } },
  });
  box.put(large(1), 0);
  box.put(large(2), 0);
  expect(box.nextBatch(0)).toHaveLength(1);
});
