import { expect, test } from 'vitest';
import { SeldomLooks } from '../../../../coordinator/limits/seldom-looks.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function looks() {
  const clock = new ManualClock();
  const ends: (() => void)[] = [];
  const shared = new SeldomLooks(clock, () => new Promise((resolve) => void ends.push(resolve)));
  const begun = async (): Promise<number> => {
    await Promise.resolve();
    await Promise.resolve();
    return ends.length;
  };
  return { clock, ends, shared, begun };
}

test('the first is taken at once, and thousands who ask share what follows', async () => {
  const { clock, ends, shared, begun } = looks();
  const first = shared.look();
  expect(await begun()).toBe(1);
  const others = Array.from({ length: 1_000 }, () => shared.look());
  expect(await begun()).toBe(1);
  ends[0]!();
  await first;
  clock.advance(499);
  expect(await begun()).toBe(1);
  clock.advance(1);
  expect(await begun()).toBe(2);
  ends[1]!();
  await Promise.all(others);
  clock.advance(10_000);
  void shared.look();
  expect(await begun()).toBe(3);
});

test('one that had begun before tells nothing of what came after', async () => {
  const { clock, ends, shared, begun } = looks();
  const early = shared.look();
  await begun();
  let isTold = false;
  const late = shared.look().then(() => (isTold = true));
  ends[0]!();
  await early;
  clock.advance(500);
  expect(await begun()).toBe(2);
  expect(isTold).toBe(false);
  ends[1]!();
  await late;
});
