import { expect, test } from 'vitest';
import { Outbox } from '../../../agent/outbox.ts';
import { Verdict, type Result, type ResultReply } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

const outbox = (): Outbox => new Outbox(() => 0.5);

function reply(results: readonly Result[] | null, ...verdicts: Verdict[]): ResultReply {
  return {
    farmId: 'farm',
    epoch: 1,
    successVerdicts: [],
    verdicts: verdicts.map((verdict, index) => ({
      token: results?.[index]?.token,
      verdict,
      missing: verdict === Verdict.VERDICT_BLOB_MISSING ? ['aa'] : [],
    })),
  };
}

test('offers the oldest first, in a few batches that are in flight together', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  box.put(resultOf(2), 0);
  const first = box.nextBatch(0)!;
  expect(first).toEqual([resultOf(1), resultOf(2)]);
  expect(box.nextBatch(0)).toBeNull();
  for (const counter of [3, 4, 5]) {
    box.put(resultOf(counter), 0);
    expect(box.nextBatch(0)).toEqual([resultOf(counter)]);
  }
  for (const counter of [6, 7]) box.put(resultOf(counter), 0);
  expect(box.nextBatch(0)).toBeNull();
  expect(box.nextDueMs()).toBeNull();
  box.settle(first, reply(first, Verdict.VERDICT_ACCEPTED, Verdict.VERDICT_ACCEPTED), 0);
  expect(box.nextBatch(0)).toEqual([resultOf(6), resultOf(7)]);
});

test('batches that were lost together are one silence; then one at a time asks', () => {
  const box = outbox();
  const lost = [1, 2, 3].map((counter) => {
    box.put(resultOf(counter), 0);
    return box.nextBatch(0)!;
  });
  for (const batch of lost) box.settle(batch, null, 0);
  expect(box.nextDueMs()).toBe(250);
  const again = box.nextBatch(250)!;
  expect(again).toEqual([1, 2, 3].map(resultOf));
  box.put(resultOf(4), 250);
  expect(box.nextBatch(250)).toBeNull();
  const { VERDICT_ACCEPTED } = Verdict;
  box.settle(again, reply(again, VERDICT_ACCEPTED, VERDICT_ACCEPTED, VERDICT_ACCEPTED), 250);
  expect(box.nextBatch(250)).toEqual([resultOf(4)]);
});

test('accepted, noted and stale results leave', () => {
  const box = outbox();
  for (const counter of [1, 2, 3]) box.put(resultOf(counter), 0);
  const batch = box.nextBatch(0)!;
  const { VERDICT_ACCEPTED, VERDICT_NOTED, VERDICT_STALE } = Verdict;
  expect(
    box.settle(batch, reply(batch, VERDICT_ACCEPTED, VERDICT_NOTED, VERDICT_STALE), 0),
  ).toEqual([
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
    const batch = box.nextBatch(nowMs)!;
    expect(batch).toHaveLength(1);
    box.settle(batch, null, nowMs);
    expect(box.nextBatch(nowMs)).toBeNull();
    const dueMs = box.nextDueMs()!;
    pauses.push(dueMs - nowMs);
    nowMs = dueMs;
  }
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  box.settle(box.nextBatch(nowMs)!, null, nowMs);
  box.connected();
  expect(box.nextBatch(nowMs)).toHaveLength(1);
});

test('a result without a verdict is offered again later, others at once', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0)!;
  expect(box.settle(batch, reply(batch, Verdict.VERDICT_UNSPECIFIED), 0)).toEqual([]);
  box.put(resultOf(2), 10);
  const second = box.nextBatch(10)!;
  expect(second).toEqual([resultOf(2)]);
  box.settle(second, reply(second, Verdict.VERDICT_ACCEPTED), 10);
  expect(box.nextDueMs()).toBe(250);
  expect(box.nextBatch(250)).toEqual([resultOf(1)]);
});

test('a missing blob is stored again before the result is offered again', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0)!;
  expect(box.settle(batch, reply(batch, Verdict.VERDICT_BLOB_MISSING), 0)).toEqual([
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
  const batch = box.nextBatch(0)!;
  box.drop(resultOf(1).token!);
  expect(box.settle(batch, reply(batch, Verdict.VERDICT_ACCEPTED), 0)).toEqual([]);
});

test('a verdict on what was replaced meanwhile is not one on the replacement', () => {
  const box = outbox();
  box.put(resultOf(1), 0);
  const batch = box.nextBatch(0)!;
  const replacement = { ...resultOf(1), peakRamBytes: 5 };
  box.put(replacement, 0);
  expect(box.settle(batch, reply(batch, Verdict.VERDICT_ACCEPTED), 0)).toEqual([]);
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
