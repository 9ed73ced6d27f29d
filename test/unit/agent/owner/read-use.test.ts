import { expect, test } from 'vitest';
import { useReader } from '../../../../agent/owner/read-use.ts';

test('a GPU is ours for one look more than a unit uses it: its last use is not another’s', async () => {
  let inUse = new Set(['GPU-a']);
  const percents = new Map([
    ['GPU-a', 97],
    ['GPU-b', 3],
  ]);
  const busiestGpuBut = (ours: ReadonlySet<string>): number =>
    Math.max(...[...percents].flatMap(([id, percent]) => (ours.has(id) ? [] : [percent])));
  const read = useReader({ isOurs: () => false, busiestGpuBut, gpusInUse: () => inUse });
  const percent = async (): Promise<number | undefined> => (await read()).gpuPercent;
  expect(await percent()).toBe(3);
  inUse = new Set();
  expect(await percent()).toBe(3);
  expect(await percent()).toBe(97);
  inUse = new Set(['GPU-a']);
  expect(await percent()).toBe(3);
});
