import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { place } from '../../../../coordinator/domain/placement.ts';
import { counterOf, tokenOf } from '../../../../coordinator/domain/token.ts';
import {
  CAPACITY,
  countOf,
  FarmDriver,
  LEASE_TTL_MS,
  held,
  step,
} from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function granted(): number {
  return driver.place().reduce((sum, grant) => sum + grant.units.length, 0);
}

describe('what fits', () => {
  test('is bounded by CPUs', () => {
    driver.enrol('a1');
    driver.submit([step('work', { parameters: countOf(9) })]);
    expect(granted()).toBe(4);
    expect(granted()).toBe(0);
  });

  test('is bounded by RAM that is free, less what the system keeps', () => {
    driver.enrol('a1', { ramAvailableBytes: 4 * GIB });
    const demand = { ...NO_DEMAND, ramBytes: GIB };
    driver.submit([step('work', { demand, parameters: countOf(9) })]);
    expect(granted()).toBe(3);
  });

  test('is bounded by VRAM for each GPU, not by their sum', () => {
    const gpu = { id: 'g', name: 'G', vramTotalBytes: 8 * GIB, vramForeignBytes: 0 };
    driver.enrol('a1', {
      gpus: [
        { ...gpu, id: 'g1' },
        { ...gpu, id: 'g2' },
      ],
    });
    const demand = { ...NO_DEMAND, gpus: 1, vramBytes: 5 * GIB };
    driver.submit([step('work', { demand, parameters: countOf(9) })]);
    const grants = driver.place();
    expect(grants.map((grant) => grant.gpuIds)).toEqual([['g1'], ['g2']]);
    expect(grants.map((grant) => grant.units.length)).toEqual([1, 1]);
  });

  test('shrinks at once when a game starts', () => {
    driver.enrol('a1');
    const [gpu] = CAPACITY.gpus;
    driver.beat('a1', {
      capacity: { ...CAPACITY, gpus: [{ ...gpu!, vramForeignBytes: 6 * GIB }] },
    });
    driver.submit([step('work', { demand: { ...NO_DEMAND, gpus: 1, vramBytes: 2 * GIB } })]);
    expect(granted()).toBe(0);
  });

  test('takes two GPUs for one unit only when both have room', () => {
    driver.enrol('a1');
    driver.submit([step('work', { demand: { ...NO_DEMAND, gpus: 1, vramBytes: GIB } })]);
    expect(granted()).toBe(1);
    const answer = driver.ask({
      type: 'SubmitJob',
      clientId: 'two',
      requestHash: '',
      name: '',
      priority: 0,
      recipe: '',
      steps: [step('work', { demand: { ...NO_DEMAND, gpus: 2, vramBytes: GIB } })],
      missingBlobs: [],
    });
    expect(answer).toMatchObject({ reason: 'DEMAND_TOO_LARGE' });
  });

  test('is bounded by the owner’s limit, encoder sessions and attributes', () => {
    driver.enrol('a1', { maxUnits: 2 });
    driver.submit([step('work', { demand: NO_DEMAND, parameters: countOf(9) })]);
    expect(granted()).toBe(2);
    driver.enrol('a2', { encoderSessions: 1, attributes: ['encoder:nvenc'] });
    const demand = { ...NO_DEMAND, encoderSessions: 1, attributes: ['encoder:nvenc'] };
    driver.ask({ type: 'CancelJob', job: 1, reason: '' });
    driver.submit([step('work', { demand, parameters: countOf(9) })]);
    expect(driver.place()).toMatchObject([{ agentId: 'a2', units: [0] }]);
  });
});

describe('order', () => {
  test('is priority, then the older job', () => {
    driver.enrol('a1', { cpuMillis: 1_000 });
    driver.submit([step('old')]);
    driver.submit([step('new')]);
    driver.submit([step('urgent')], { priority: 5 });
    const order: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      order.push(...driver.place().map((grant) => grant.job));
      driver.report(driver.leasesOf('a1'));
    }
    expect(order).toEqual([3, 1, 2]);
  });

  test('lets what fits pass what does not', () => {
    driver.enrol('a1');
    driver.enrol('big', { cpuMillis: 16_000 });
    driver.submit([step('large', { demand: { ...NO_DEMAND, cpuMillis: 16_000 } })]);
    driver.beat('big', { leaving: true });
    driver.submit([step('small')]);
    expect(driver.place()).toMatchObject([{ job: 2, agentId: 'a1' }]);
  });

  test('deals units out over empty agents', () => {
    for (const agentId of ['a1', 'a2', 'a3']) driver.enrol(agentId);
    driver.submit([step('work', { parameters: countOf(6) })]);
    const grants = driver.place();
    expect(grants.map((grant) => grant.units.length)).toEqual([2, 2, 2]);
    expect(grants.flatMap((grant) => grant.units).toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5,
    ]);
  });
});

describe('an agent gets nothing new', () => {
  test.each([
    ['drains', () => driver.ask({ type: 'DrainAgent', agent: 'a1', draining: true })],
    ['leaves', () => driver.beat('a1', { leaving: true })],
    ['has no NATS', () => driver.beat('a1', { workPlaneUp: false })],
    ['is silent', () => driver.pass(LEASE_TTL_MS)],
    [
      'has something of unknown size',
      () => driver.beat('a1', { inventory: [held(tokenOf(1, 99), 'running')] }),
    ],
  ])('while it %s', (_, become) => {
    driver.enrol('a1');
    driver.submit([step('work')]);
    become();
    expect(granted()).toBe(0);
  });

  test('before its first beat says what it has', () => {
    driver.ask({
      type: 'EnrolAgent',
      agentId: 'a1',
      name: 'a1',
      version: '1.0.0',
      coordinatorVersion: '1.0.0',
      machineFingerprint: 'm',
    });
    driver.submit([step('work')]);
    expect(granted()).toBe(0);
  });
});

test('tokens and grant numbers only grow, over a restart too', () => {
  driver.enrol('a1', { cpuMillis: 1_000 });
  driver.submit([step('work', { parameters: countOf(4) })]);
  const tokens: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    if (round === 2) {
      driver.restart();
      driver.beat('a1', { inventory: [] });
    }
    tokens.push(...driver.place().map((grant) => grant.firstToken));
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'));
  }
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
  expect(new Set(tokens).size).toBe(4);
  expect(counterOf(driver.farm.jobs.get(1)!.steps[0]!.units!.tokenOf(3))).toBe(2);
});

test('a pass over thousands of small jobs is cut, so that its facts fit into one commit', () => {
  driver.enrol('a1');
  for (let job = 0; job < 510; job += 1) driver.submit([step('clip', { demand: NO_DEMAND })]);
  expect(place(driver.farm, driver.liveness, driver.now).grants).toHaveLength(500);
});

test('attributes that look alike when joined are different classes', () => {
  for (const attributes of [['a b'], ['a', 'b']]) {
    driver.submit([step('work', { demand: { ...NO_DEMAND, attributes } })]);
  }
  driver.enrol('a1', { attributes: ['a', 'b'] });
  expect(granted()).toBe(1);
});
