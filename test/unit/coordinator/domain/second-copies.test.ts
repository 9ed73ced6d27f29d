/** When a straggler gets a second copy, and where. */
import { describe, expect, test } from 'vitest';
import type { LeasesGranted } from '../../../../coordinator/domain/facts.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { Lease } from '../../../../coordinator/domain/farm.ts';
import { countOf, FarmDriver, failed, step } from '../../../support/farm-driver.ts';

const ONE_CPU = { cpuMillis: 1_000 };

/** Time passes: all agents beat, the tick ticks, and what is ready and what is slow is placed. */
function run(driver: FarmDriver, ms: number): LeasesGranted[] {
  const copies: LeasesGranted[] = [];
  for (let passed = 0; passed < ms; passed += 1_000) {
    driver.nowMs += 1_000;
    for (const agentId of driver.farm.agents.keys()) driver.beatHolding(agentId);
    driver.pass(0);
    driver.place();
    copies.push(...driver.placeCopies());
  }
  return copies;
}

function only(driver: FarmDriver, agentId: string): Lease {
  const [lease, ...others] = driver.leasesOf(agentId);
  if (lease === undefined || others.length > 0) throw new Error(`${agentId} has not one lease`);
  return lease;
}

/** `quick` has done all but one of so many units in `runMs` each, while `slow` is at its first. */
function straggling(units = 4, runMs = 10_000, total = units): FarmDriver {
  const driver = new FarmDriver();
  driver.enrol('quick', ONE_CPU);
  driver.enrol('slow', ONE_CPU);
  driver.submit([step('work', { parameters: countOf(total) })]);
  driver.place();
  driver.runMs = runMs;
  for (let done = 1; done < units; done += 1) {
    expect(run(driver, runMs)).toEqual([]);
    driver.report([only(driver, 'quick')]);
    driver.place();
  }
  return driver;
}

describe('a second copy', () => {
  test('is granted to a unit that runs for twice as long as others did, elsewhere', () => {
    const driver = straggling();
    const { unit } = only(driver, 'slow');
    const [copy, ...more] = run(driver, 1_000);
    expect(copy).toMatchObject({ agentId: 'quick', units: [unit], attempts: [2], copy: true });
    expect(more).toEqual([]);
    expect(run(driver, 60_000)).toEqual([]);
    expect(driver.job(1).steps[0]?.units?.counts).toMatchObject({ leased: 1, accepted: 3 });
  });

  test('waits until the unit has run for that long', () => {
    const driver = new FarmDriver();
    driver.enrol('quick', { cpuMillis: 3_000 });
    driver.enrol('slow', ONE_CPU);
    driver.submit([step('work', { parameters: countOf(4) })]);
    driver.place();
    driver.runMs = 10_000;
    run(driver, 10_000);
    driver.report(driver.leasesOf('quick'));
    expect(run(driver, 9_000)).toEqual([]);
    expect(run(driver, 3_000)).toHaveLength(1);
  });

  test('is made only when enough results tell what is usual', () => {
    expect(run(straggling(3), 60_000)).toEqual([]);
  });

  test('is not made of a unit that has taken a few seconds, however short others are', () => {
    const driver = straggling(4, 1_000);
    expect(run(driver, 1_000)).toEqual([]);
    expect(run(driver, 3_000)).toHaveLength(1);
  });

  test('is not made while a unit of the step is queued, also one that may not start yet', () => {
    const driver = straggling(4, 10_000, 5);
    driver.report(driver.leasesOf('quick'), failed('infrastructure'));
    expect(run(driver, 4_000)).toEqual([]);
    expect(driver.leasesOf('quick')).toEqual([]);
    driver.enrol('spare', ONE_CPU);
    expect(run(driver, 10_000)).toHaveLength(1);
  });

  test('takes no room that something ready could use, also when it does not fit yet', () => {
    const driver = new FarmDriver();
    driver.enrol('quick', { cpuMillis: 2_000 });
    driver.enrol('slow', ONE_CPU);
    driver.submit([step('work', { parameters: countOf(5) })]);
    driver.runMs = 10_000;
    driver.place();
    run(driver, 10_000);
    driver.report(driver.leasesOf('quick'));
    run(driver, 10_000);
    // One of two CPUs gets free, and a unit waits for both.
    driver.submit([step('wide', { demand: { ...NO_DEMAND, cpuMillis: 2_000 } })]);
    driver.report(driver.leasesOf('quick').slice(0, 1));
    expect(run(driver, 30_000)).toEqual([]);
    driver.ask({ type: 'CancelJob', job: 2, reason: '' });
    expect(run(driver, 10_000)).toMatchObject([{ agentId: 'quick' }]);
  });

  test.each([
    { by: 'the limit of its job', limit: () => ({ maxUnits: 1 }), demand: {}, isLifted: false },
    { by: 'a ticket', limit: () => ({}), demand: { tickets: { nuke: 1 } }, isLifted: true },
    {
      by: 'the limit of its owner',
      limit: (driver: FarmDriver) => {
        driver.ask({ type: 'SetOwner', name: 'ann', weight: undefined, maxUnits: 1 });
        return { owner: 'ann' };
      },
      demand: {},
      isLifted: true,
    },
  ])('is held back by $by, as any other lease is', ({ limit, demand, isLifted }) => {
    const driver = new FarmDriver();
    driver.ask({ type: 'SetTickets', name: 'nuke', limit: 1 });
    driver.enrol('a1', ONE_CPU);
    driver.enrol('a2', ONE_CPU);
    const spec = { demand: { ...NO_DEMAND, cpuMillis: 1_000, ...demand } };
    driver.submit([step('work', { ...spec, parameters: countOf(4) })], limit(driver));
    driver.runMs = 1_000;
    for (let done = 0; done < 3; done += 1) {
      run(driver, 1_000);
      driver.report([...driver.farm.leases.values()]);
    }
    expect(run(driver, 30_000)).toEqual([]);
    expect(driver.farm.leases.size).toBe(1);
    driver.ask({ type: 'SetTickets', name: 'nuke', limit: 2 });
    driver.ask({ type: 'SetOwner', name: 'ann', weight: undefined, maxUnits: 2 });
    expect(run(driver, 30_000)).toHaveLength(isLifted ? 1 : 0);
  });

  test('takes room that only units could use which are held back themselves', () => {
    const driver = straggling();
    driver.submit([step('other', { parameters: countOf(9) })], { maxUnits: 1 });
    driver.enrol('spare', ONE_CPU);
    driver.place();
    expect(run(driver, 1_000)).toHaveLength(1);
  });

  test('is not made of units of a paused job, nor on an agent that is drained', () => {
    const driver = straggling();
    driver.ask({ type: 'PauseJob', job: 1, reason: '' });
    expect(run(driver, 10_000)).toEqual([]);
    driver.ask({ type: 'ResumeJob', job: 1, reason: '' });
    driver.ask({ type: 'DrainAgent', agent: 'quick', draining: true });
    expect(run(driver, 10_000)).toEqual([]);
    driver.ask({ type: 'DrainAgent', agent: 'quick', draining: false });
    expect(run(driver, 10_000)).toHaveLength(1);
  });

  test('goes to the agent that is quickest with the step, not to one that would take longer', () => {
    const driver = straggling();
    const paces = (agentId: string) => driver.liveness.agents.get(agentId)?.paces;
    const pace = paces('quick')?.get('1 work');
    if (pace === undefined) throw new Error('no pace');
    pace.runMs = 600_000;
    expect(run(driver, 10_000)).toEqual([]);
    driver.enrol('quicker', ONE_CPU);
    driver.enrol('quickest', ONE_CPU);
    paces('quickest')?.set('1 work', { ...pace, runMs: 5_000 });
    expect(run(driver, 20_000).map(({ agentId }) => agentId)).toEqual(['quickest']);
  });

  test('is not made of what a slow agent is about to finish at its own pace', () => {
    const driver = straggling();
    driver.liveness.agents.get('slow')?.paces.set('1 work', {
      open: 1,
      lastDoneMs: 0,
      runMs: 36_000,
    });
    // It has run for 30 s, and 6 s are left: a copy takes ten.
    expect(run(driver, 5_000)).toEqual([]);
    expect(run(driver, 10_000)).toHaveLength(1);
  });

  test('that failed is not made again at once, and not where it failed', () => {
    const driver = straggling();
    driver.enrol('other', ONE_CPU);
    const [copy] = run(driver, 1_000);
    driver.report(driver.leasesOf(copy?.agentId ?? ''), failed('failed'));
    expect(run(driver, 5_000)).toEqual([]);
    const [again] = run(driver, 60_000);
    expect(again).toMatchObject({ attempts: [3], copy: true });
    expect(again?.agentId).not.toBe(copy?.agentId);
  });

  test('several agents at once: each straggler has its own', () => {
    const driver = new FarmDriver();
    driver.enrol('a1', { cpuMillis: 5_000 });
    driver.enrol('a2', { cpuMillis: 5_000 });
    driver.submit([step('work', { parameters: countOf(10) })]);
    driver.place();
    driver.runMs = 5_000;
    run(driver, 5_000);
    driver.report(driver.leasesOf('a1'));
    const copies = run(driver, 10_000);
    expect(copies.map(({ agentId, units }) => [agentId, ...units])).toHaveLength(5);
    expect(new Set(copies.map(({ agentId }) => agentId))).toEqual(new Set(['a1']));
    expect(new Set(copies.map(({ grantNumber }) => grantNumber)).size).toBe(1);
  });
});
