/** Who is offered which agent first, and what several units on one GPU may do. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Capacity, GpuCapacity } from '../../../../coordinator/domain/demand.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { newSeat, whyNoRoom } from '../../../../coordinator/domain/seats.ts';
import type { Demand } from '../../../../coordinator/domain/task.ts';
import { CAPACITY, countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function gpus(...sizesGib: number[]): GpuCapacity[] {
  return sizesGib.map((size, index) => ({
    id: `gpu-${index}`,
    name: 'G',
    vramTotalBytes: size * GIB,
    vramForeignBytes: 0,
  }));
}

function box(agentId: string, more: Partial<Capacity>): void {
  driver.enrol(agentId, { ...CAPACITY, gpus: [], ...more });
}

/** Agents, in the order in which they get one unit after the other. */
function order(demand: Partial<Demand>, units: number): string[] {
  const given: string[] = [];
  for (let unit = 0; unit < units; unit += 1) {
    driver.submit([step('work', { demand: { ...NO_DEMAND, ...demand } })]);
    given.push(...driver.place().map(({ agentId }) => agentId));
  }
  return given;
}

describe('a unit gets', () => {
  test('the smallest GPU that it fits on, whatever else is empty', () => {
    box('large', { gpus: gpus(24) });
    box('small', { gpus: gpus(8) });
    const demand = { gpus: 1, vramBytes: 3 * GIB, cpuMillis: 500 };
    expect(order(demand, 4)).toEqual(['small', 'small', 'large', 'large']);
  });

  test('an idle GPU before one that is shared, of those of one size', () => {
    box('a', { gpus: gpus(12) });
    box('b', { gpus: gpus(12) });
    // A few megabytes less are free here: the desktop's.
    box('c', { gpus: gpus(12).map((gpu) => ({ ...gpu, vramForeignBytes: 300_000_000 })) });
    expect(order({ gpus: 1, vramBytes: 3 * GIB }, 6)).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  test('the smaller of a machine’s GPUs', () => {
    box('mixed', { gpus: gpus(24, 8) });
    driver.submit([
      step('work', {
        demand: { ...NO_DEMAND, gpus: 1, vramBytes: 5 * GIB },
        parameters: countOf(2),
      }),
    ]);
    expect(driver.place().map(({ gpuIds }) => gpuIds)).toEqual([['gpu-1'], ['gpu-0']]);
  });

  test('a box without a GPU when it needs none, until that is full', () => {
    box('plain', {});
    box('gamer', { gpus: gpus(8) });
    expect(order({ cpuMillis: 1_000 }, 6)).toEqual([
      'plain',
      'plain',
      'plain',
      'plain',
      'gamer',
      'gamer',
    ]);
  });

  test('the smallest memory that does, when it takes much of it', () => {
    const memory = (gib: number) => ({ ramTotalBytes: gib * GIB, ramAvailableBytes: gib * GIB });
    box('large', memory(128));
    box('small', memory(16));
    box('usual', memory(64));
    const demand = { ramBytes: 24 * GIB, cpuMillis: 1_000 };
    expect(order(demand, 3)).toEqual(['usual', 'usual', 'large']);
  });
});

describe('a whole GPU', () => {
  const whole: Demand = { ...NO_DEMAND, gpus: 1, vramBytes: GIB, wholeGpus: true };
  const shared: Demand = { ...NO_DEMAND, gpus: 1, vramBytes: GIB };

  test('is given to nobody else, nor taken while somebody is on it', () => {
    box('one', { gpus: gpus(24) });
    driver.submit([step('work', { demand: whole, parameters: countOf(2) })]);
    expect(driver.place()).toMatchObject([{ units: [0] }]);
    driver.submit([step('work', { demand: shared })]);
    driver.submit([step('work', { demand: { ...shared, vramBytes: 0 } })]);
    expect(driver.place()).toEqual([]);
    driver.beatHolding('one');
    driver.ask({ type: 'PauseJob', job: 1, reason: '' });
    driver.report(driver.leasesOf('one'));
    expect(driver.place()).toMatchObject([{ job: 2 }, { job: 3 }]);
    driver.ask({ type: 'ResumeJob', job: 1, reason: '' });
    expect(driver.place()).toEqual([]);
  });

  test('can be two at once, both free', () => {
    box('two', { gpus: gpus(12, 12) });
    driver.submit([step('small', { demand: shared })]);
    expect(driver.place()).toMatchObject([{ gpuIds: ['gpu-0'] }]);
    driver.submit([step('both', { demand: { ...whole, gpus: 2 } })]);
    expect(driver.place()).toEqual([]);
    driver.beatHolding('two');
    driver.report(driver.leasesOf('two'));
    expect(driver.place()).toMatchObject([{ job: 2, gpuIds: ['gpu-0', 'gpu-1'] }]);
  });

  test('is refused in words with figures', () => {
    box('one', { gpus: gpus(24) });
    driver.submit([step('work', { demand: shared })]);
    driver.place();
    const job = driver.submit([step('whole', { demand: whole })]);
    const agent = driver.liveness.agents.get('one');
    const record = driver.farm.agents.get('one');
    if (agent?.capacity === undefined || record === undefined) throw new Error('no agent');
    const seat = newSeat(agent, record, agent.capacity, undefined, driver.nowMs);
    expect(whyNoRoom(seat, job.steps[0]!)).toBe(
      'needs 1 GPU that nothing runs on; 1 of 1 have units',
    );
  });

  test('of none is refused at the submit', () => {
    box('one', { gpus: gpus(24) });
    const steps = [step('work', { demand: { ...whole, gpus: 0, vramBytes: 0 } })];
    expect(() => driver.submit(steps)).toThrow('asks for whole GPUs, but for none');
  });
});
