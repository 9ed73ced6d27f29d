import { beforeEach, describe, expect, test } from 'vitest';
import { unitsOf } from '../../../../coordinator/domain/find.ts';
import { extendByStall } from '../../../../coordinator/domain/takeover-grace.ts';
import { tokenOf } from '../../../../coordinator/domain/token.ts';
import type { UnitTable } from '../../../../coordinator/domain/unit-table.ts';
import {
  CAPACITY,
  countOf,
  FarmDriver,
  held,
  LEASE_TTL_MS,
  step,
} from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

function endsOf(kind: string): number {
  return driver.facts.filter((fact) => fact.type === 'LeaseEnded' && fact.kind === kind).length;
}

/** One unit, granted to a1 and seen running there. */
function runOne(): void {
  driver.submit([step('work')]);
  driver.place();
  driver.beatHolding('a1');
}

describe('expiry', () => {
  test('comes a TTL after the last beat that listed the lease, not before', () => {
    runOne();
    driver.pass(LEASE_TTL_MS - 1);
    expect(driver.farm.leases.size).toBe(1);
    driver.pass(1);
    expect(driver.farm.leases.size).toBe(0);
    expect(endsOf('lost')).toBe(1);
  });

  test('comes also to a lease that nobody began to watch', () => {
    driver.submit([step('work')]);
    driver.place();
    driver.liveness.leases.clear();
    for (const token of driver.farm.leases.keys()) driver.liveness.looks.delete(token);
    expect(driver.pass(250).facts.map(({ type }) => type)).toContain('LeaseEnded');
  });

  test('is put off by each beat that lists the lease', () => {
    runOne();
    for (let beat = 0; beat < 10; beat += 1) {
      driver.pass(LEASE_TTL_MS - 1);
      driver.beatHolding('a1');
    }
    expect(endsOf('lost')).toBe(0);
  });

  test('of a grant that was never seen counts against nobody and voids the grant', () => {
    const job = driver.submit([step('work')]);
    driver.place();
    driver.pass(LEASE_TTL_MS);
    expect(endsOf('expired')).toBe(1);
    expect(job.steps[0]?.units?.lossCountOf(0)).toBe(0);
    expect(driver.liveness.agents.get('a1')?.releasedGrant).toBe(1);
  });

  test('forgives a stall of our own', () => {
    runOne();
    driver.nowMs += 60_000;
    extendByStall(driver.liveness, 60_000);
    driver.pass(0);
    expect(driver.farm.leases.size).toBe(1);
  });

  test('gives the unit to another agent with a new token', () => {
    runOne();
    const [before] = driver.leasesOf('a1');
    driver.enrol('a2');
    driver.pass(LEASE_TTL_MS - 1);
    driver.beat('a2');
    driver.pass(1);
    driver.place();
    const [after] = driver.leasesOf('a2');
    expect(after?.attempt).toBe(2);
    expect(after?.token).toBeGreaterThan(before!.token);
  });
});

describe('after a takeover', () => {
  test('nothing expires for TTL + 5 s, and what agents bring is adopted', () => {
    runOne();
    const [lease] = driver.leasesOf('a1');
    driver.restart();
    driver.pass(19_999);
    expect(driver.farm.leases.size).toBe(1);
    driver.beat('a1', { inventory: [held(lease!.token, 'running')] });
    driver.pass(LEASE_TTL_MS - 1);
    expect(driver.leasesOf('a1')).toEqual([lease]);
  });

  test('what nobody brings expires then', () => {
    runOne();
    driver.restart();
    driver.pass(20_000);
    expect(driver.farm.leases.size).toBe(0);
  });

  test('a farm without leases waits for nobody: what it grants then expires in time', () => {
    driver.restart();
    runOne();
    driver.pass(LEASE_TTL_MS);
    expect(driver.farm.leases.size).toBe(0);
  });
});

describe('an agent that comes back after expiry', () => {
  test('goes on with a unit that nobody else got, without a new attempt', () => {
    runOne();
    const [lease] = driver.leasesOf('a1');
    driver.pass(LEASE_TTL_MS);
    driver.beat('a1');
    expect(driver.facts.at(-1)).toMatchObject({ type: 'LeaseResumed', token: lease!.token });
    expect(driver.leasesOf('a1')).toMatchObject([{ token: lease!.token, attempt: 1 }]);
    expect(driver.stops).toEqual([]);
  });

  test('is told to stop a unit that another has got', () => {
    runOne();
    const [lease] = driver.leasesOf('a1');
    driver.enrol('a2');
    driver.pass(LEASE_TTL_MS - 1);
    driver.beat('a2');
    driver.pass(1);
    driver.place();
    const review = driver.beat('a1');
    expect(review.stops).toEqual([{ agentId: 'a1', tokens: [lease!.token] }]);
    expect(review.barrier).toBe('fresh');
  });

  test('stays booked with what it still lists, until it does not', () => {
    driver.submit([step('work', { parameters: countOf(8) })]);
    driver.place();
    driver.beatHolding('a1');
    const listed = driver.leasesOf('a1').map((lease) => held(lease.token, 'ending'));
    driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    driver.submit([step('next')]);
    driver.beat('a1', { inventory: listed });
    expect(driver.place()).toEqual([]);
    driver.beat('a1', { inventory: [] });
    expect(driver.place()).toHaveLength(1);
  });
});

test('a grant that got lost before its job was cancelled does not book its agent for ever', () => {
  driver.submit([step('work', { parameters: countOf(4) })]);
  driver.place();
  driver.ask({ type: 'CancelJob', job: 1, reason: '' });
  driver.submit([step('next')]);
  driver.beat('a1');
  expect(driver.place()).toEqual([]);
  driver.pass(LEASE_TTL_MS);
  driver.beat('a1');
  const released = driver.liveness.agents.get('a1')?.releasedGrant;
  expect(released).toBe(1);
  // The agent was told, and refuses that number from now on.
  driver.beat('a1', { grantsHandled: released! });
  expect(driver.place()).toHaveLength(1);
});

describe('a job that ends in the middle of a decision', () => {
  /** Two units run on a1; the next loss of the first ends their job. */
  function runTwo(): UnitTable {
    driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.beatHolding('a1');
    const units = unitsOf(driver.job(1).steps[0]!);
    for (const agentId of ['a2', 'a3']) units.countLoss(0, agentId);
    return units;
  }

  test('queues none of its units again', () => {
    const units = runTwo();
    driver.pass(LEASE_TTL_MS);
    expect(driver.job(1).end?.state).toBe('failed');
    expect(units.counts).toMatchObject({ queued: 0, failed: 1, cancelled: 1 });
  });

  test('takes up nothing again that its agent brings back', () => {
    runTwo();
    const [first, second] = driver.leasesOf('a1');
    driver.beat('a1', { inventory: [held(first!.token, 'running')] });
    expect(driver.farm.lapsed.has(second!.token)).toBe(true);
    driver.beat('a1', { inventory: [held(second!.token, 'running')] });
    expect(driver.job(1).end?.state).toBe('failed');
    expect(driver.farm.leases.size).toBe(0);
  });
});

describe('absence from an inventory', () => {
  test('says nothing of a grant that was not handled yet', () => {
    driver.submit([step('work')]);
    driver.place();
    driver.beat('a1', { grantsHandled: 0 });
    expect(driver.farm.leases.size).toBe(1);
  });

  test('of a handled grant that never ran is a refusal', () => {
    driver.submit([step('work')]);
    driver.place();
    driver.beat('a1', { grantsHandled: 1 });
    expect(endsOf('refused')).toBe(1);
  });

  test('of what was seen running is a loss', () => {
    runOne();
    driver.beat('a1', { inventory: [] });
    expect(endsOf('lost')).toBe(1);
  });
});

describe('what is listed without right', () => {
  test('must stop, unless it is finished: its result is answered', () => {
    const [runs, waits, done] = [77, 78, 79].map((counter) => tokenOf(1, counter));
    const inventory = [held(runs!, 'running'), held(waits!, 'waiting'), held(done!, 'finished')];
    expect(driver.beat('a1', { inventory }).stops).toEqual([
      { agentId: 'a1', tokens: [runs, waits] },
    ]);
  });
});

describe('a new session', () => {
  test('ends the leases of the old one that it does not list', () => {
    driver.submit([step('work', { parameters: countOf(2) })]);
    driver.place();
    driver.beatHolding('a1');
    const [kept] = driver.leasesOf('a1');
    const inventory = [held(kept!.token, 'finished')];
    driver.beat('a1', { session: 'a1-session-2', inventory, grantsHandled: 0 });
    expect(driver.leasesOf('a1')).toEqual([kept]);
    expect(endsOf('lost')).toBe(1);
  });

  test('loses nothing that was never seen running', () => {
    const job = driver.submit([step('work')]);
    driver.place();
    driver.beat('a1', { session: 'a1-session-2' });
    expect(endsOf('refused')).toBe(1);
    expect(job.steps[0]?.units?.lossCountOf(0)).toBe(0);
  });

  test('fences the old one', () => {
    driver.beat('a1', { session: 'a1-session-2' });
    expect(() => driver.beat('a1', { session: 'a1-session-1' })).toThrow(/started again/);
  });

  test('is not retired by a late beat of an older one that was never seen here', () => {
    driver.beat('a1', { session: 'a1-session-3', sessionStartedAtMs: 3_000 });
    const late = { session: 'a1-session-2', sessionStartedAtMs: 2_000 };
    expect(() => driver.beat('a1', late)).toThrow(/started again/);
    const live = { session: 'a1-session-3', sessionStartedAtMs: 3_000 };
    expect(() => driver.beat('a1', live)).not.toThrow();
  });

  test('is taken though its clock was set back, once the one before is silent', () => {
    driver.beat('a1', { session: 'a1-session-2', sessionStartedAtMs: 3_000 });
    driver.pass(LEASE_TTL_MS);
    const setBack = { session: 'a1-session-3', sessionStartedAtMs: 2_000 };
    expect(() => driver.beat('a1', setBack)).not.toThrow();
  });

  test('of another machine under the same id is refused while the first lives', () => {
    const copy = { machineFingerprint: 'another machine' };
    expect(() => driver.beat('a1', copy)).toThrow(/in use on another machine/);
    driver.pass(LEASE_TTL_MS);
    expect(() => driver.beat('a1', copy)).not.toThrow();
  });
});

describe('stall', () => {
  const limits = { maxAttempts: 2, runTimeoutMs: 0, stallTimeoutMs: 30_000 };

  test('ends a unit whose progress does not move under a healthy heartbeat', () => {
    driver.submit([step('work', { limits })]);
    driver.place();
    for (let elapsedMs = 0; elapsedMs <= 30_000; elapsedMs += 3_000) {
      driver.beatHolding('a1', 'running', 7);
      driver.pass(3_000);
    }
    expect(endsOf('stalled')).toBe(1);
    expect(driver.stops).toHaveLength(1);
  });

  test('leaves alone what moves, and what only waits', () => {
    driver.submit([step('work', { limits, parameters: countOf(2) })]);
    driver.place();
    for (let progress = 1; progress < 20; progress += 1) {
      const [one, two] = driver.leasesOf('a1');
      const inventory = [held(one!.token, 'running', progress), held(two!.token, 'waiting', 0)];
      driver.beat('a1', { inventory, grantsHandled: 1 });
      driver.pass(3_000);
    }
    expect(endsOf('stalled')).toBe(0);
  });
});

describe('progress', () => {
  const limits = { maxAttempts: 2, runTimeoutMs: 0, stallTimeoutMs: 30_000 };

  beforeEach(() => {
    driver.submit([step('work', { limits })]);
    driver.place();
    driver.beatHolding('a1');
  });

  test('is not judged by silence: not after a stall of our own', () => {
    driver.nowMs += 60_000;
    extendByStall(driver.liveness, 60_000);
    driver.pass(0);
    driver.beatHolding('a1', 'running', 2);
    driver.pass(1_000);
    expect(driver.facts.filter((fact) => fact.type === 'LeaseEnded')).toEqual([]);
  });

  test('is watched anew after the agent slept', () => {
    driver.pass(10 * LEASE_TTL_MS);
    const [lapsed] = driver.farm.lapsed.keys();
    driver.beat('a1', { inventory: [held(lapsed!, 'running', 1)] });
    driver.pass(1_000);
    expect(driver.leasesOf('a1')).toHaveLength(1);
    expect(endsOf('stalled')).toBe(0);
  });
});

describe('after a takeover', () => {
  test('a grant gets a number that no grant of an earlier reign can have', () => {
    driver.submit([step('first')]);
    const [earlier] = driver.place();
    driver.restart();
    driver.submit([step('second')]);
    // The first grant is still on its way.
    driver.beat('a1', { grantsHandled: 0, capacity: CAPACITY });
    const [later] = driver.place();
    expect(later!.grantNumber).toBeGreaterThan(earlier!.grantNumber);
    driver.restart();
    driver.submit([step('third')]);
    driver.beat('a1', { grantsHandled: later!.grantNumber, capacity: CAPACITY });
    driver.pass(500);
    expect(driver.place()[0]!.grantNumber).toBeGreaterThan(later!.grantNumber);
  });

  test('what an agent lists as waiting and lost meanwhile is booked until it is gone', () => {
    driver.submit([step('work', { parameters: countOf(4) })]);
    driver.place();
    const lost = driver.leasesOf('a1').map(({ token }) => held(token, 'waiting'));
    driver.pass(LEASE_TTL_MS);
    driver.enrol('a2');
    driver.place();
    driver.restart();
    driver.submit([step('more', { parameters: countOf(4) })]);
    // It may begin them as soon as its beat is answered, before it hears that they are not its any more.
    const { stops } = driver.beat('a1', { inventory: lost, grantsHandled: 1, capacity: CAPACITY });
    expect(stops).toHaveLength(1);
    expect(driver.place()).toEqual([]);
    driver.beat('a1', { inventory: [] });
    expect(driver.place()).toHaveLength(1);
  });

  test('nothing expires while agents still arrive, each counted once', () => {
    driver.enrol('a2');
    driver.enrol('a3');
    runOne();
    driver.restart();
    driver.pass(19_000);
    driver.beat('a2');
    driver.pass(4_000);
    driver.beat('a3');
    driver.pass(4_999);
    driver.beat('a2');
    expect(driver.farm.leases.size).toBe(1);
    driver.pass(1);
    expect(driver.farm.leases.size).toBe(0);
  });

  test('an agent that comes after the grace does not bring it back', () => {
    driver.enrol('a2');
    runOne();
    driver.restart();
    driver.pass(30_000);
    driver.beat('a2');
    expect(driver.liveness.noExpiryBeforeMs).toBeLessThan(driver.nowMs);
  });
});

test('a lease of a later reign is left alone: it is we who are late', () => {
  const review = driver.beat('a1', { inventory: [held(tokenOf(9, 1), 'running')] });
  expect(review.stops).toEqual([]);
});

test('a closed stream makes an agent suspect: its leases live, nothing new comes', () => {
  runOne();
  driver.decide({ type: 'StreamClosed', agentId: 'a1', session: 'a1-session-1' });
  driver.submit([step('next')]);
  expect(driver.place()).toEqual([]);
  expect(driver.farm.leases.size).toBe(1);
  driver.beatHolding('a1');
  expect(driver.place()).toHaveLength(1);
});
