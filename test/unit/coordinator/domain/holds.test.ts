/** Units too large to find a place by chance: an agent is kept for them, and only what does not delay them goes there. */
import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { HUNGRY_MS, whyKept } from '../../../../coordinator/domain/holds.ts';
import { countOf, failed, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const SMALL = { ...NO_DEMAND, cpuMillis: 1_000 };
const LARGE = { ...NO_DEMAND, cpuMillis: 4_000 };

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

/** The first agents' units end one by one, a second apart, and the farm places what it can; beats come. */
function runFor(ms: number, agents: readonly string[] = ['a1']): void {
  for (let passed = 0; passed < ms; passed += 1_000) {
    driver.nowMs += 1_000;
    for (const agentId of driver.farm.agents.keys()) driver.beatHolding(agentId);
    for (const agentId of agents) {
      driver.report(driver.leasesOf(agentId).slice(0, 1));
      driver.place();
    }
  }
}

const leasedOf = (job: number): number => driver.job(job).steps[0]?.units?.counts.leased ?? 0;

/** An agent of four CPUs that younger small units fill, while an older one waits that takes all of it. */
function crowded(runMs: number): void {
  driver.enrol('a1');
  driver.runMs = runMs;
  driver.submit([step('small', { demand: SMALL, parameters: countOf(4) })]);
  driver.place();
  driver.submit([step('large', { demand: LARGE })], { priority: 1 });
  driver.submit([step('more', { demand: SMALL, parameters: countOf(500) })]);
}

test('a unit that fits an empty agent waits no longer than the limit and what runs then', () => {
  crowded(60_000);
  runFor(HUNGRY_MS);
  expect(leasedOf(2)).toBe(0);
  expect(driver.leasesOf('a1')).toHaveLength(4);
  runFor(5_000);
  expect(driver.leasesOf('a1').map(({ job }) => job)).toEqual([2]);
});

test('nor does one that outgrew what its step demands', () => {
  driver.enrol('a1', { ramTotalBytes: 16 * GIB, ramAvailableBytes: 16 * GIB });
  driver.runMs = 60_000;
  const demand = { ...SMALL, ramBytes: 10 * GIB };
  const small = { ...SMALL, ramBytes: 3 * GIB };
  driver.submit([step('large', { demand })], { priority: 1 });
  driver.place();
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1'), failed('out-of-memory'));
  driver.submit([step('small', { demand: small, parameters: countOf(4) })], { priority: 2 });
  driver.place();
  driver.submit([step('more', { demand: small, parameters: countOf(500) })]);
  runFor(HUNGRY_MS);
  expect(leasedOf(1)).toBe(0);
  runFor(5_000);
  expect(driver.job(1).end).toMatchObject({ state: 'succeeded' });
});

test('and for ever without it', () => {
  crowded(60_000);
  for (let round = 0; round < 10; round += 1) {
    driver.liveness.hunger.clear();
    runFor(HUNGRY_MS / 2);
  }
  expect(leasedOf(2)).toBe(0);
});

test('what is kept is told in words, and to its own class nothing is', () => {
  crowded(60_000);
  runFor(HUNGRY_MS + 1_000);
  const classKey = driver.job(3).steps[0]!.classKey;
  expect(whyKept(driver.liveness, 'a1', classKey, driver.nowMs)).toBe(
    'is kept for j2/large, which has found no room for 1 min',
  );
  const own = driver.job(2).steps[0]!.classKey;
  expect(whyKept(driver.liveness, 'a1', own, driver.nowMs)).toBeUndefined();
});

describe('on an agent that is kept', () => {
  /** Kept for a large unit from now on; units of 100 s run there, the first for a minute. */
  function kept(): void {
    driver.enrol('a1');
    driver.runMs = 100_000;
    driver.submit([step('small', { demand: SMALL, parameters: countOf(5) })]);
    driver.place();
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1').slice(0, 1));
    driver.place();
    driver.submit([step('large', { demand: LARGE })], { priority: 1 });
    driver.place();
    for (let second = 0; second <= HUNGRY_MS / 1_000; second += 1) {
      driver.nowMs += 1_000;
      driver.beatHolding('a1');
      driver.place();
    }
    expect(driver.liveness.holds.has('a1')).toBe(true);
    driver.report(driver.leasesOf('a1').slice(0, 1));
  }

  test('work goes on that ends before the others do', () => {
    kept();
    const limits = { maxAttempts: 0, stallTimeoutMs: 0, runTimeoutMs: 0 };
    driver.submit([step('long', { demand: SMALL, limits: { ...limits, runTimeoutMs: 90_000 } })]);
    const demand = { ...SMALL, ramBytes: GIB };
    driver.submit([step('short', { demand, limits: { ...limits, runTimeoutMs: 20_000 } })]);
    expect(driver.place()).toMatchObject([{ job: 4 }]);
  });

  test('work goes on that leaves room for the large unit beside it, but no more of it than does', () => {
    kept();
    driver.submit([step('light', { demand: NO_DEMAND })]);
    expect(driver.place()).toMatchObject([{ job: 3 }]);
    driver.submit([step('heavy', { demand: { ...NO_DEMAND, cpuMillis: 1 } })]);
    expect(driver.place()).toEqual([]);
  });

  test('everything goes on once nobody waits for it', () => {
    kept();
    driver.submit([step('more', { demand: { ...SMALL, ramBytes: GIB } })]);
    expect(driver.place()).toEqual([]);
    driver.ask({ type: 'CancelJob', job: 2, reason: '' });
    expect(driver.place()).toMatchObject([{ job: 3 }]);
    expect(driver.liveness.holds.size).toBe(0);
  });

  test('who comes first is not held up', () => {
    kept();
    driver.submit([step('urgent', { demand: { ...SMALL, ramBytes: GIB } })], { priority: 9 });
    expect(driver.place()).toMatchObject([{ job: 3 }]);
  });
});

test('one agent of a few is kept, however many classes wait', () => {
  for (const agentId of ['a1', 'a2', 'a3']) driver.enrol(agentId);
  driver.submit([step('small', { demand: SMALL, parameters: countOf(12) })]);
  driver.place();
  for (const cpuMillis of [3_000, 3_500, 4_000]) {
    driver.submit([step('large', { demand: { ...NO_DEMAND, cpuMillis } })], { priority: 1 });
  }
  for (let second = 0; second < 120; second += 1) {
    driver.nowMs += 1_000;
    for (const agentId of ['a1', 'a2', 'a3']) driver.beatHolding(agentId);
    driver.place();
  }
  expect(driver.liveness.holds.size).toBe(1);
});
