import { constants, PerformanceObserver } from 'node:perf_hooks';
import { expect, it, onTestFinished } from 'vitest';
import { buffersPassed } from '../../../kit/young-buffers.ts';

it('has V8 look among the young alone, once for some MiB of buffers', async () => {
  const kinds: number[] = [];
  const observer = new PerformanceObserver((list) => {
    const entries = list.getEntries() as unknown as { detail: { kind: number } }[];
    kinds.push(...entries.map(({ detail }) => detail.kind));
  });
  observer.observe({ entryTypes: ['gc'] });
  onTestFinished(() => observer.disconnect());
  for (let bytes = 0; bytes < 4 * 1024 * 1024; bytes += 64 * 1024) buffersPassed(64 * 1024);
  await expect.poll(() => kinds).toContain(constants.NODE_PERFORMANCE_GC_MINOR);
  expect('gc' in globalThis).toBe(false);
});
