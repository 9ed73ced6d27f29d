import { expect, test } from 'vitest';
import { FailureStreak } from '../../../agent/failure-streak.ts';
import type { Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

function failed(unit: number, kind = 'failed', message = 'exit code 1'): Result {
  return { ...resultOf(1), unit, outcome: { $case: 'failure', value: { kind, message } } };
}

test('what is the machine’s fault speaks against its tools at once', () => {
  const streak = new FailureStreak();
  expect(streak.note(failed(1, 'infrastructure', 'no ffmpeg'))).toBe('infrastructure: no ffmpeg');
  expect(streak.note(failed(1, 'out-of-vram', 'CUDA'))).toBe('out-of-vram: CUDA');
});

test('three different units in a row do, and count once', () => {
  const streak = new FailureStreak();
  expect([1, 2, 3, 4].map((unit) => streak.note(failed(unit)) !== null)).toEqual([
    false,
    false,
    true,
    false,
  ]);
});

test('the same unit again does not, nor what a success interrupts, nor what is nobody’s fault', () => {
  const streak = new FailureStreak();
  for (let i = 0; i < 5; i += 1) expect(streak.note(failed(1))).toBeNull();
  expect(streak.note(failed(2))).toBeNull();
  expect(streak.note(resultOf(1))).toBeNull();
  expect(streak.note(failed(3))).toBeNull();
  expect(streak.note(failed(4))).toBeNull();
  for (const unit of [5, 6, 7]) expect(streak.note(failed(unit, 'evicted'))).toBeNull();
});

test('where another step can do the work, its tools are proven again only once a unit has failed for good', () => {
  const streak = new FailureStreak();
  const limits = { maxAttempts: 3, runTimeoutMs: 0, stallTimeoutMs: 0 };
  const noted = (unit: number, attempt: number, kind?: string): string | null =>
    streak.note(failed(unit, kind), { attempt, limits, hasStandIn: true });
  for (const unit of [1, 2, 3, 4]) expect(noted(unit, 1)).toBeNull();
  expect(noted(1, 2)).toBeNull();
  expect(noted(1, 3)).toBe('failed: exit code 1');
  expect(noted(5, 1, 'infrastructure')).toBe('infrastructure: exit code 1');
});
