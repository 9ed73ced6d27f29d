import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../../kit/clock.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const DAY_MS = 24 * 3_600_000;

test('what is due in sixty days is not called at once, as Node would, but then', () => {
  const called = vi.fn<() => void>();
  systemClock.after(60 * DAY_MS, called);
  vi.advanceTimersByTime(59 * DAY_MS);
  expect(called).not.toHaveBeenCalled();
  vi.advanceTimersByTime(DAY_MS);
  expect(called).toHaveBeenCalledOnce();
});

test('what was cancelled is not called, however late it was due', () => {
  const called = vi.fn<() => void>();
  const cancel = systemClock.after(60 * DAY_MS, called);
  vi.advanceTimersByTime(30 * DAY_MS);
  cancel();
  vi.advanceTimersByTime(60 * DAY_MS);
  expect(called).not.toHaveBeenCalled();
});
