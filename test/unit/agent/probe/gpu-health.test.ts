import { expect, test } from 'vitest';
import { GpuHealth } from '../../../../agent/probe/gpu-health.ts';

const RECOVERY_MS = 1_000;

test('an ill GPU is unusable at once, and until it was well for a while', () => {
  const health = new GpuHealth(RECOVERY_MS);
  health.observe('a', null, 0);
  expect(health.reasonOf('a')).toBeNull();
  health.observe('a', 'GPU is lost', 100);
  expect(health.reasonOf('a')).toBe('GPU is lost');
  health.observe('a', null, 200);
  expect(health.reasonOf('a')).toMatch(/^answers again .* 1 s \(it was: GPU is lost\)$/);
  health.observe('a', null, 1_199);
  expect(health.reasonOf('a')).not.toBeNull();
  health.observe('a', null, 1_200);
  expect(health.reasonOf('a')).toBeNull();
});

test('an illness on the way back begins the while anew, and makes it longer', () => {
  const health = new GpuHealth(RECOVERY_MS);
  health.observe('a', 'lost', 0);
  health.observe('a', null, 100);
  health.observe('a', 'lost', 900);
  health.observe('a', null, 1_000);
  health.observe('a', null, 2_500);
  expect(health.reasonOf('a')).toContain('2 s');
  health.observe('a', null, 3_000);
  expect(health.reasonOf('a')).toBeNull();
});

test('one that is held by what cannot be ended stays given up', () => {
  const health = new GpuHealth(RECOVERY_MS);
  health.giveUp('a', 'held');
  health.observe('a', null, 0);
  health.observe('a', null, 10 * RECOVERY_MS);
  expect(health.reasonOf('a')).toBe('held');
  expect(health.reasonOf('b')).toBeNull();
});
