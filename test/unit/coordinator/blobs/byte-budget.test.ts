import { expect, it } from 'vitest';
import { ByteBudget } from '../../../../coordinator/blobs/byte-budget.ts';

it('lets no more bytes through than there is room for, in order, and what is too large alone', async () => {
  const budget = new ByteBudget(10);
  const granted: number[] = [];
  const take = async (bytes: number): Promise<() => void> => {
    const release = await budget.take(bytes);
    granted.push(bytes);
    return release;
  };
  const first = await take(6);
  const [second, third, fourth] = [take(5), take(2), take(20)];
  await Promise.resolve();
  expect(granted).toEqual([6]);
  first();
  first();
  const releases = await Promise.all([second, third]);
  expect(granted).toEqual([6, 5, 2]);
  releases[0]();
  await Promise.resolve();
  expect(granted).toEqual([6, 5, 2]);
  releases[1]();
  await fourth;
  expect(granted).toEqual([6, 5, 2, 20]);
});
