import { expect, test } from 'vitest';
import { type Use, type UseReading, UseWatch } from '../../../../agent/owner/use-watch.ts';
import { OPEN_TERMS, type PolicyTerms } from '../../../../proto/agent-policy.ts';

const MINUTE_MS = 60_000;
const LOOK_MS = 5_000;
const TERMS: PolicyTerms = { ...OPEN_TERMS, mode: 'idle', idleAfterMs: 5 * MINUTE_MS };
const QUIET: UseReading = { inputIdleMs: 60 * MINUTE_MS, loadPercent: 3, gpuPercent: 0 };

/** Looks every five seconds; `busyAt` says what is read `ms` after the start. Answers the changes. */
function changes(untilMs: number, busyAt: (ms: number) => Partial<UseReading>) {
  const watch = new UseWatch();
  const seen: { readonly ms: number; readonly use: Use }[] = [];
  for (let ms = 0; ms <= untilMs; ms += LOOK_MS) {
    watch.observe({ ...QUIET, ...busyAt(ms) }, TERMS, ms);
    const use = watch.use(TERMS);
    if (JSON.stringify(seen.at(-1)?.use) !== JSON.stringify(use)) seen.push({ ms, use });
  }
  return seen.map(({ ms, use }) => [ms / 1000, use.state === 'busy' ? use.with : use.state]);
}

test('before the first look nothing is known; a machine that tells nothing is not taken for idle', () => {
  const watch = new UseWatch();
  const nothing = { inputIdleMs: undefined, loadPercent: undefined, gpuPercent: undefined };
  expect(watch.use(TERMS).state).toBe('unknown');
  watch.observe(nothing, TERMS, 0);
  expect(watch.use(TERMS).state).toBe('unknown');
  watch.observe(nothing, TERMS, LOOK_MS);
  expect(watch.use(TERMS).state).toBe('blind');
  watch.observe({ ...nothing, loadPercent: 1 }, TERMS, 2 * LOOK_MS);
  expect(watch.use(TERMS).state).toBe('idle');
});

test('a key closes at once, and it opens again only when none came for as long as was asked', () => {
  const keyMs = 60_000;
  const inputIdleMs = (ms: number): number => (ms < keyMs ? 60 * MINUTE_MS : ms - keyMs);
  expect(changes(10 * MINUTE_MS, (ms) => ({ inputIdleMs: inputIdleMs(ms) }))).toEqual([
    [0, 'idle'],
    [60, 'input'],
    [360, 'idle'],
  ]);
});

test('a moment of load is nobody’s return; what lasts is, and opens after the whole quiet time', () => {
  const short = (ms: number): boolean => ms >= 60_000 && ms < 70_000;
  const long = (ms: number): boolean => ms >= 120_000 && ms < 150_000;
  const loadPercent = (ms: number): number => (short(ms) || long(ms) ? 90 : 10);
  expect(changes(10 * MINUTE_MS, (ms) => ({ loadPercent: loadPercent(ms) }))).toEqual([
    [0, 'idle'],
    [130, 'load'],
    [445, 'idle'],
  ]);
});

test('load that comes and goes keeps it closed: it does not flap', () => {
  // A game's menu: every other look is busy, after a beginning that lasts.
  const loadPercent = (ms: number): number =>
    ms < 60_000 || ms > 12 * MINUTE_MS ? 0 : ms < 80_000 || ms % 60_000 === 0 ? 95 : 5;
  expect(changes(20 * MINUTE_MS, (ms) => ({ loadPercent: loadPercent(ms) }))).toEqual([
    [0, 'idle'],
    [70, 'load'],
    [1020, 'idle'],
  ]);
});

test('a GPU counts like a processor, and a machine without one tells nothing of it', () => {
  const gpuPercent = (ms: number): number | undefined => (ms >= 60_000 ? 80 : undefined);
  expect(changes(2 * MINUTE_MS, (ms) => ({ gpuPercent: gpuPercent(ms) }))).toEqual([
    [0, 'idle'],
    [70, 'gpu'],
  ]);
});
