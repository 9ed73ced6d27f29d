import { expect, test } from 'vitest';
import { LeaseLooks } from '../../../../coordinator/domain/lease-looks.ts';
import { tokenOf } from '../../../../coordinator/domain/token.ts';

const [first, second, third] = [tokenOf(1, 1), tokenOf(1, 2), tokenOf(1, 3)];

test('a lease is named once, never after its time has come', () => {
  const looks = new LeaseLooks();
  looks.set(second, 2_100);
  looks.set(first, 1_000);
  expect(looks.take(999)).toEqual([]);
  expect(looks.take(1_000)).toEqual([first]);
  expect(looks.take(2_100)).toEqual([second]);
  expect(looks.take(Infinity)).toEqual([]);
});

test('the look that was set last is the one that counts', () => {
  const looks = new LeaseLooks();
  looks.set(first, 1_000);
  looks.set(first, 5_000);
  looks.set(second, 5_000);
  looks.set(second, 1_000);
  looks.set(third, 1_000);
  looks.delete(third);
  expect(looks.take(1_000)).toEqual([second]);
  expect(looks.take(5_000)).toEqual([first]);
});
