/** Waiting leases: who gets them, what they book, how they come back. */
import { describe, expect, test } from 'vitest';
import type { Token } from '../../../../coordinator/domain/token.ts';
import { countOf, FarmDriver, failed, held, step } from '../../../support/farm-driver.ts';

/** An agent of four CPUs with a step of units that take one each, the first four done in `runMs`. */
function warm(runMs: number, units = 1_000): FarmDriver {
  const driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('work', { parameters: countOf(units) })]);
  driver.runMs = runMs;
  driver.place();
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1').slice(0, 1));
  return driver;
}

const waitingOf = (driver: FarmDriver): number =>
  [...(driver.farm.agents.get('a1')?.slots.values() ?? [])].reduce(
    (sum, { held: leases, booked }) => sum + leases - booked,
    0,
  );

describe('prefill', () => {
  test('nothing waits at an agent that has shown no results of the step yet', () => {
    const driver = new FarmDriver();
    driver.enrol('a1');
    driver.submit([step('work', { parameters: countOf(1_000) })]);
    driver.place();
    driver.place();
    expect(waitingOf(driver)).toBe(0);
  });

  test('short units wait behind running ones, for half a second of work, and book nothing', () => {
    const driver = warm(10);
    driver.place();
    expect(driver.farm.agents.get('a1')?.booking).toMatchObject({ leases: 4, cpuMillis: 4_000 });
    // Three run at 10 ms each: 150 units in 500 ms.
    expect(waitingOf(driver)).toBe(150);
  });

  test('long units have nobody behind them', () => {
    const driver = warm(5_000);
    driver.place();
    expect(waitingOf(driver)).toBe(0);
  });

  test('the owner of a machine says how many may wait there', () => {
    const driver = warm(10);
    const capacity = driver.liveness.agents.get('a1')?.capacity;
    if (capacity === undefined) throw new Error('no capacity');
    driver.beat('a1', { capacity: { ...capacity, maxWaiting: 7 } });
    driver.beatHolding('a1');
    driver.place();
    expect(waitingOf(driver)).toBe(7);
  });

  test('one that waits takes the place of one that ends, and the booking stays', () => {
    const driver = warm(10);
    driver.place();
    driver.place();
    const before = waitingOf(driver);
    driver.report(driver.leasesOf('a1').slice(0, 1));
    expect(waitingOf(driver)).toBe(before - 1);
    expect(driver.farm.agents.get('a1')?.booking.leases).toBe(4);
  });

  test('two agents share what is left of a step in proportion to their pace', () => {
    const driver = new FarmDriver();
    driver.enrol('a1');
    driver.enrol('a2');
    driver.submit([step('work', { parameters: countOf(108) })]);
    driver.place();
    for (const [agentId, runMs] of [
      ['a1', 1],
      ['a2', 3],
    ] as const) {
      driver.beatHolding(agentId);
      driver.runMs = runMs;
      driver.report(driver.leasesOf(agentId).slice(0, 1));
    }
    driver.place();
    driver.place();
    const [fast = 0, slow = 0] = ['a1', 'a2'].map((agentId) => driver.leasesOf(agentId).length - 4);
    expect(fast + slow).toBeGreaterThan(90);
    expect(fast / slow).toBeGreaterThan(2.5);
    expect(fast / slow).toBeLessThan(3.5);
  });

  test('a unit that failed is placed with care, not put behind others', () => {
    const driver = warm(10, 6);
    driver.place();
    driver.beatHolding('a1');
    const [lease] = driver.leasesOf('a1');
    if (lease === undefined) throw new Error('no lease');
    driver.report([lease], failed('failed'));
    driver.nowMs += 10_000;
    driver.beatHolding('a1');
    driver.place();
    const again = driver.leasesOf('a1').find(({ unit }) => unit === lease.unit);
    expect(again === undefined || waitingOf(driver) === 0).toBe(true);
  });

  test('a restart keeps who waits and who is booked', () => {
    const driver = warm(10);
    driver.place();
    const before = waitingOf(driver);
    driver.restart();
    expect(waitingOf(driver)).toBe(before);
    expect(driver.farm.agents.get('a1')?.booking.leases).toBe(4);
  });
});

describe('retraction', () => {
  function waitingAt(): { readonly driver: FarmDriver; readonly waiting: readonly Token[] } {
    const driver = warm(10);
    driver.place();
    const leases = driver.leasesOf('a1').map(({ token }) => token);
    const inventory = leases.map((token, index) => held(token, index < 4 ? 'running' : 'waiting'));
    const grantsHandled = driver.liveness.agents.get('a1')?.lastGrantNumber ?? 0;
    driver.beat('a1', { inventory, grantsHandled });
    return { driver, waiting: leases.slice(4) };
  }

  test('a pause asks back what has not begun', () => {
    const { driver, waiting } = waitingAt();
    const decision = driver.decide({ type: 'PauseJob', job: 1, reason: '' });
    expect(decision.retracts).toEqual([{ agentId: 'a1', tokens: waiting }]);
    // Until the agent says otherwise, all of them may run.
    expect(waitingOf(driver)).toBe(waiting.length);
  });

  test('what the agent no longer lists never began: it is queued again, with its attempt unused', () => {
    const { driver, waiting } = waitingAt();
    driver.decide({ type: 'PauseJob', job: 1, reason: '' });
    const inventory = driver
      .leasesOf('a1')
      .slice(0, 4)
      .map(({ token }) => held(token, 'running'));
    driver.beat('a1', { inventory });
    expect(waitingOf(driver)).toBe(0);
    const units = driver.job(1).steps[0]?.units;
    expect(units?.counts).toMatchObject({ leased: 4, queued: 995 });
    expect(units?.lostAttempts).toBe(0);
    const ended = driver.facts.filter((fact) => fact.type === 'LeaseEnded');
    expect(ended).toHaveLength(waiting.length);
    expect(new Set(ended.map(({ kind }) => kind))).toEqual(new Set(['retracted']));
    for (const { unit } of ended) expect(units?.attemptsOf(unit)).toBe(0);
  });

  test('one that began before it heard of it goes on', () => {
    const { driver, waiting } = waitingAt();
    driver.decide({ type: 'PauseJob', job: 1, reason: '' });
    const [began] = waiting;
    if (began === undefined) throw new Error('nothing waits');
    driver.beat('a1', { inventory: [held(began, 'running')] });
    expect(driver.leasesOf('a1').map(({ token }) => token)).toEqual([began]);
  });

  test('what waits for seconds is asked back: its agent stands still', () => {
    const { driver, waiting } = waitingAt();
    expect(driver.pass(1_000).retracts).toEqual([]);
    driver.nowMs += 2_500;
    driver.beat('a1');
    expect(driver.pass(0).retracts).toEqual([{ agentId: 'a1', tokens: waiting }]);
  });

  test('behind units that stand still nothing waits again until one of them is done', () => {
    const { driver } = waitingAt();
    const running = driver.leasesOf('a1').slice(0, 4);
    const inventory = running.map(({ token }) => held(token, 'running'));
    driver.nowMs += 4_000;
    driver.beat('a1');
    driver.beat('a1', { inventory });
    driver.place();
    expect(waitingOf(driver)).toBe(0);
    driver.report(running.slice(0, 1));
    driver.place();
    expect(waitingOf(driver)).toBeGreaterThan(0);
  });
});
