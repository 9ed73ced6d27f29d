/** Owners' shares, limits of jobs and owners, tickets: who may have a unit at all, and who is next. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Command } from '../../../../coordinator/domain/commands.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { averageOf, noteUsage, priceOf } from '../../../../coordinator/domain/fair-share.ts';
import { whyHeldBack } from '../../../../coordinator/domain/hold-back.ts';
import { newLiveness } from '../../../../coordinator/domain/liveness.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { countOf, failed, FarmDriver, LEASE_TTL_MS, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const HOUR_MS = 3_600_000;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function work(units: number, more: Partial<StepSpec> = {}): StepSpec[] {
  return [step('work', { parameters: countOf(units), ...more })];
}

function needing(tickets: Readonly<Record<string, number>>): StepSpec['demand'] {
  return { ...NO_DEMAND, cpuMillis: 100, tickets };
}

/** Leases by owner. */
function held(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name, leases } of driver.farm.owners.values()) {
    if (leases > 0) counts[name] = leases;
  }
  return counts;
}

function set(command: Extract<Command, { type: 'SetTickets' | 'SetOwner' }>): void {
  expect(driver.ask(command)).toEqual({ kind: 'done' });
}

const setOwner = (name: string, share: { weight?: number; maxUnits?: number }): void =>
  set({ type: 'SetOwner', name, weight: share.weight, maxUnits: share.maxUnits });

function reportAll(agentId: string): void {
  driver.beatHolding(agentId);
  driver.report(driver.leasesOf(agentId));
}

/** Why the job's first step waits. */
function whyHeld(number: number): string | undefined {
  const job = driver.job(number);
  return whyHeldBack(driver.farm, driver.liveness, job, job.steps[0]!.demand, driver.nowMs);
}

test('a farm holds at most so many units, of whatever job', () => {
  driver.liveness = newLiveness(LEASE_TTL_MS, 3);
  driver.enrol('a1', { cpuMillis: 8_000 });
  for (const priority of [0, 1]) driver.submit(work(4), { priority });
  driver.place();
  expect(driver.leasesOf('a1').map(({ job }) => job)).toEqual([2, 2, 2]);
  expect(whyHeld(1)).toBe('the farm has 3 of at most 3 units leased');
  expect(driver.place()).toEqual([]);
  reportAll('a1');
  driver.place();
  expect(driver.leasesOf('a1').map(({ job }) => job)).toEqual([2, 1, 1]);
});

describe('owners of one priority', () => {
  test('get equal shares, though one has been there longer and asks for more', () => {
    driver.enrol('a1', { cpuMillis: 8_000 });
    driver.submit(work(100), { owner: 'ann' });
    driver.submit(work(100), { owner: 'bob' });
    driver.place();
    expect(held()).toEqual({ ann: 4, bob: 4 });
  });

  test('get shares by their weights', () => {
    driver.enrol('a1', { cpuMillis: 8_000 });
    setOwner('bob', { weight: 3 });
    driver.submit(work(100), { owner: 'ann' });
    driver.submit(work(100), { owner: 'bob' });
    driver.place();
    expect(held()).toEqual({ ann: 2, bob: 6 });
  });

  test('pay for what they take most of, be it memory', () => {
    driver.enrol('a1', { cpuMillis: 100_000 });
    const demand = { ...NO_DEMAND, cpuMillis: 1_000, ramBytes: GIB };
    driver.submit(work(100, { demand: { ...demand, ramBytes: 2 * GIB, cpuMillis: 250 } }), {
      owner: 'ann',
    });
    driver.submit(work(100, { demand }), { owner: 'bob' });
    driver.place();
    // Half a core's memory and a quarter of a core cost half a core: as long as there is memory, ann gets two
    // for each of bob's.
    expect(held()).toEqual({ ann: 6, bob: 3 });
    expect(priceOf({ ...demand, ramBytes: 40 * GIB })).toBe(10_000);
  });

  test('the one who had the farm for hours waits for the one who comes', () => {
    driver.enrol('a1');
    driver.submit(work(100), { owner: 'ann' });
    driver.place();
    expect(held()).toEqual({ ann: 4 });
    for (let beat = 0; beat < 10; beat += 1) {
      driver.nowMs += 12 * 60_000;
      driver.beatHolding('a1');
    }
    driver.submit(work(100), { owner: 'bob' });
    driver.submit(work(100), { owner: 'carl' });
    reportAll('a1');
    driver.place();
    expect(held()).toEqual({ bob: 2, carl: 2 });
  });

  test('a higher priority comes first, whoever has more', () => {
    driver.enrol('a1');
    driver.submit(work(2), { owner: 'ann' });
    driver.place();
    driver.submit(work(4), { owner: 'ann', priority: 1 });
    driver.submit(work(4), { owner: 'bob' });
    driver.place();
    expect(held()).toEqual({ ann: 4 });
  });

  test('what they had fades', () => {
    const usages = new Map();
    noteUsage(usages, 'ann', 0, 0);
    expect(averageOf(usages, 'ann', 8_000, 2 * HOUR_MS)).toBe(4_000);
    usages.set('ann', { averageMillis: 8_000, atMs: 0 });
    expect(averageOf(usages, 'ann', 0, 2 * HOUR_MS)).toBe(4_000);
    expect(averageOf(usages, 'ann', 8_000, 2 * HOUR_MS)).toBe(8_000);
    expect(averageOf(usages, 'ann', 0, 4 * HOUR_MS)).toBe(2_000);
  });
});

test('of one owner, the job nearest to its end is next, and one that only is smaller is not', () => {
  driver.enrol('a1', { cpuMillis: 1_000 });
  driver.submit(work(8));
  driver.submit(work(8));
  driver.submit(work(1));
  driver.place();
  driver.ask({ type: 'PauseJob', job: 1, reason: '' });
  reportAll('a1');
  driver.place();
  reportAll('a1');
  driver.place();
  reportAll('a1');
  driver.ask({ type: 'ResumeJob', job: 1, reason: '' });
  // One eighth of the first is done, two of the second.
  expect(driver.place()).toMatchObject([{ job: 2, units: [2] }]);
});

describe('limits', () => {
  test('of a job bound what agents hold of it', () => {
    driver.enrol('a1', { cpuMillis: 8_000 });
    driver.submit(work(100), { maxUnits: 3 });
    driver.submit(work(100));
    expect(driver.place().map(({ job, units }) => [job, units.length])).toEqual([
      [1, 3],
      [2, 5],
    ]);
    expect(whyHeld(1)).toBe('its job has 3 of at most 3 units leased');
    expect(whyHeld(2)).toBeUndefined();
  });

  test('of an owner bound all of its jobs together', () => {
    driver.enrol('a1', { cpuMillis: 8_000 });
    setOwner('ann', { maxUnits: 3 });
    driver.submit(work(2), { owner: 'ann' });
    driver.submit(work(9), { owner: 'ann' });
    driver.place();
    expect(held()).toEqual({ ann: 3 });
    expect(whyHeld(2)).toBe('ann has 3 of at most 3 units leased');
    setOwner('ann', { maxUnits: 0 });
    driver.place();
    expect(held()).toEqual({ ann: 8 });
  });

  test('hold for units that wait at quick agents too', () => {
    driver.enrol('a1');
    driver.runMs = 1;
    driver.submit(work(1_000), { maxUnits: 7 });
    for (let round = 0; round < 5; round += 1) {
      driver.place();
      driver.place();
      expect(driver.leasesOf('a1').length).toBeLessThanOrEqual(7);
      driver.beatHolding('a1');
      driver.report(driver.leasesOf('a1').slice(0, 2));
    }
    driver.place();
    driver.place();
    expect(driver.leasesOf('a1')).toHaveLength(7);
  });
});

describe('tickets', () => {
  beforeEach(() => {
    driver.enrol('a1');
    driver.enrol('a2');
    set({ type: 'SetTickets', name: 'nuke', limit: 3 });
  });

  test('are never overbooked, and free again with the lease', () => {
    driver.submit(work(9, { demand: needing({ nuke: 1 }) }));
    driver.submit(work(9, { demand: needing({ nuke: 2 }) }));
    expect(driver.place()).toHaveLength(2);
    expect(driver.farm.tickets.get('nuke')).toMatchObject({ used: 3, limit: 3 });
    expect(whyHeld(2)).toBe('it needs 2 of ticket nuke, of which 0 of 3 are free');
    expect(driver.place()).toEqual([]);
    reportAll('a1');
    expect(driver.farm.tickets.get('nuke')?.used).toBeLessThan(3);
    driver.place();
    expect(driver.farm.tickets.get('nuke')?.used).toBe(3);
  });

  test('stay taken by a process whose lease has ended while it still runs', () => {
    driver.submit(work(3, { demand: needing({ nuke: 1 }) }));
    driver.place();
    driver.beatHolding('a1');
    driver.beatHolding('a2');
    driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    expect(driver.farm.tickets.get('nuke')?.used).toBe(0);
    driver.submit(work(3, { demand: needing({ nuke: 1 }) }));
    expect(driver.place()).toEqual([]);
    driver.beat('a1', { inventory: [] });
    driver.beat('a2', { inventory: [] });
    driver.place();
    expect(driver.farm.tickets.get('nuke')?.used).toBe(3);
  });

  test('of which there are fewer all of a sudden are taken from nobody', () => {
    driver.submit(work(3, { demand: needing({ nuke: 1 }) }));
    driver.place();
    set({ type: 'SetTickets', name: 'nuke', limit: 1 });
    expect(driver.farm.tickets.get('nuke')).toMatchObject({ used: 3, limit: 1, excused: 2 });
    reportAll('a1');
    reportAll('a2');
    expect(driver.farm.tickets.get('nuke')).toMatchObject({ used: 0, excused: 0 });
    set({ type: 'SetTickets', name: 'nuke', limit: 0 });
    expect(driver.farm.tickets.size).toBe(0);
  });

  test('of a silent agent are kept for a while, because it may run on, and then given on', () => {
    driver.submit(work(4, { demand: needing({ nuke: 3 }) }));
    driver.place();
    const [agentId = ''] = [...driver.farm.leases.values()].map((lease) => lease.agentId);
    const other = agentId === 'a1' ? 'a2' : 'a1';
    driver.beatHolding(agentId);
    driver.nowMs += LEASE_TTL_MS;
    driver.beat(other);
    driver.pass(0);
    expect(driver.farm.leases.size).toBe(0);
    expect(driver.place()).toEqual([]);
    expect(whyHeld(1)).toBe(
      `it needs 3 of ticket nuke, of which 0 of 3 are free; ${agentId}-box is silent and may still use some, for 2 min more`,
    );
    driver.nowMs += 2 * 60_000 - LEASE_TTL_MS;
    driver.beat(other);
    expect(driver.place()).toMatchObject([{ agentId: other, units: [0] }]);
    expect(driver.farm.tickets.get('nuke')).toMatchObject({ used: 3, excused: 0 });
    // What it still runs holds them too, now that it is heard: nobody else gets any.
    const [running] = driver.liveness.agents.get(agentId)!.ghosts.keys();
    driver.beat(agentId, { inventory: [{ token: running!, state: 'ending', progress: 1 }] });
    reportAll(other);
    expect(driver.place()).toEqual([]);
    driver.beat(agentId, { inventory: [] });
    expect(driver.place()).toHaveLength(1);
  });

  test('of an agent that was silent and does not run it any more are free at once', () => {
    driver.submit(work(4, { demand: needing({ nuke: 3 }) }));
    driver.place();
    const [agentId = ''] = [...driver.farm.leases.values()].map((lease) => lease.agentId);
    driver.beatHolding(agentId);
    driver.nowMs += LEASE_TTL_MS;
    driver.pass(0);
    driver.beat(agentId, { inventory: [] });
    expect(driver.place()).toHaveLength(1);
  });

  test('are resumed with the work that an agent comes back with', () => {
    driver.submit(work(1, { demand: needing({ nuke: 3 }) }));
    driver.place();
    const [agentId = ''] = [...driver.farm.leases.values()].map((lease) => lease.agentId);
    driver.beatHolding(agentId);
    driver.nowMs += LEASE_TTL_MS;
    driver.pass(0);
    expect(driver.farm.tickets.get('nuke')?.used).toBe(0);
    set({ type: 'SetTickets', name: 'nuke', limit: 2 });
    driver.beat(agentId);
    expect(driver.farm.tickets.get('nuke')).toMatchObject({ used: 3, limit: 2, excused: 1 });
  });

  test('that the farm does not have are refused at the submit', () => {
    const steps = work(1, { demand: needing({ houdini: 1 }) });
    expect(() => driver.submit(steps)).toThrow(
      'step work needs 1 of ticket \\"houdini\\", of which this farm has none: say how many there are',
    );
    expect(() => driver.submit(work(1, { demand: needing({ nuke: 4 }) }))).toThrow(
      'of which this farm has 3',
    );
  });

  test.each([
    [{ type: 'SetTickets', name: 'a b', limit: 1 }, 'ticket name "a b"'],
    [{ type: 'SetTickets', name: 'nuke', limit: -1 }, '-1 is not a number of tickets'],
    [{ type: 'SetOwner', name: '', weight: 1, maxUnits: 0 }, 'owner ""'],
    [{ type: 'SetOwner', name: 'ann', weight: 0, maxUnits: 0 }, 'weight 0'],
    [{ type: 'SetOwner', name: 'ann', weight: 1, maxUnits: 0.5 }, '0.5 is not a number of units'],
  ] as const)('%j is refused', (command, message) => {
    const answer = driver.ask(command);
    expect(answer).toMatchObject({ kind: 'refused', code: 'invalid', reason: 'SHARE_INVALID' });
    expect(answer.kind === 'refused' && answer.message).toContain(message);
  });
});

test('a restart knows shares, limits and tickets, and what leases hold of them', () => {
  driver.enrol('a1');
  set({ type: 'SetTickets', name: 'nuke', limit: 3 });
  setOwner('ann', { weight: 2, maxUnits: 5 });
  driver.submit(work(4, { demand: needing({ nuke: 1 }) }), { owner: 'ann', maxUnits: 9 });
  driver.place();
  const before = [structuredClone(driver.farm.owners), structuredClone(driver.farm.tickets)];
  driver.restart();
  expect([driver.farm.owners, driver.farm.tickets]).toEqual(before);
  expect(driver.job(1)).toMatchObject({ owner: 'ann', maxUnits: 9 });
});

test('short units wait behind nobody’s back: who comes first gets the place that ends', () => {
  driver.enrol('a1');
  driver.runMs = 1;
  driver.submit(work(10_000));
  driver.place();
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1').slice(0, 1));
  driver.place();
  driver.place();
  expect(driver.leasesOf('a1').length).toBeGreaterThan(100);
  driver.submit(work(8, { demand: { ...NO_DEMAND, cpuMillis: 900 } }), { priority: 5 });
  for (let round = 0; round < 5; round += 1) {
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1').filter(({ job }) => job === 1));
    driver.place();
  }
  expect(driver.leasesOf('a1').filter(({ job }) => job === 2)).toHaveLength(4);
});

test('a failed unit’s tickets are free', () => {
  driver.enrol('a1');
  set({ type: 'SetTickets', name: 'nuke', limit: 1 });
  driver.submit(work(1, { demand: needing({ nuke: 1 }) }));
  driver.place();
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1'), failed('failed'));
  expect(driver.farm.tickets.get('nuke')?.used).toBe(0);
});
