/** The CPUs beside an idle GPU are for units that need it, as long as such wait. */
import { beforeEach, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { whyKeptForGpu } from '../../../../coordinator/domain/gpu-reserve.ts';
import { newSeat } from '../../../../coordinator/domain/seats.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { CAPACITY, countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const CPU = { ...NO_DEMAND, cpuMillis: 1_000 };
const GPU = { ...NO_DEMAND, cpuMillis: 3_000, gpus: 1, vramBytes: 4 * GIB };

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('gamer');
});

const units = (demand: StepSpec['demand'], count: number): StepSpec[] => [
  step('work', { demand, parameters: countOf(count) }),
];

/** So many of the agent's units of the job are done. */
function end(job: number, count: number): void {
  driver.beatHolding('gamer');
  driver.report(
    driver
      .leasesOf('gamer')
      .filter((lease) => lease.job === job)
      .slice(0, count),
  );
}

/** Four CPUs full of an older job's units, one with a GPU waiting. */
function full(): void {
  driver.submit(units(CPU, 100));
  driver.place();
  driver.submit(units(GPU, 2));
  driver.place();
}

test('older units that need no GPU leave the CPUs that end to one that needs it', () => {
  full();
  for (let round = 0; round < 3; round += 1) {
    end(1, 1);
    driver.place();
  }
  expect(driver.leasesOf('gamer').map(({ job }) => job)).toEqual([1, 2]);
  end(2, 1);
  driver.place();
  expect(driver.leasesOf('gamer').map(({ job }) => job)).toEqual([1, 2]);
});

test('they go on with what is left beside it', () => {
  driver.enrol('other', { ...CAPACITY, gpus: [], cpuMillis: 0 });
  driver.submit(units(GPU, 2));
  driver.place();
  driver.submit(units(CPU, 100));
  driver.place();
  expect(driver.leasesOf('gamer').map(({ job }) => job)).toEqual([1, 2]);
});

test.each([
  ['is cancelled', () => driver.ask({ type: 'CancelJob', job: 2, reason: '' })],
  ['is paused', () => driver.ask({ type: 'PauseJob', job: 2, reason: '' })],
])('they go on when the one that waited %s', (_, end2) => {
  full();
  end(1, 2);
  expect(driver.place()).toEqual([]);
  end2();
  expect(driver.place()).toMatchObject([{ job: 1 }]);
});

test('units of a higher priority take what they need', () => {
  full();
  end(1, 1);
  driver.submit(units({ ...CPU, ramBytes: GIB }, 1), { priority: 1 });
  expect(driver.place()).toMatchObject([{ job: 3 }]);
});

test('it is told in words', () => {
  full();
  end(1, 1);
  const agent = driver.liveness.agents.get('gamer')!;
  const record = driver.farm.agents.get('gamer')!;
  const seat = newSeat(agent, record, agent.capacity!, undefined, driver.nowMs);
  const { hunger } = driver.liveness;
  expect(whyKeptForGpu(hunger, seat, CPU, 0)).toBe(
    'has an idle GPU, and j2/work waits for the CPUs and memory beside it',
  );
  expect(whyKeptForGpu(hunger, seat, GPU, 0)).toBeUndefined();
  expect(whyKeptForGpu(hunger, seat, CPU, 1)).toBeUndefined();
});

const idle = (id: string, vramGib: number, unusableReason?: string) => ({
  id,
  name: id,
  vramTotalBytes: vramGib * GIB,
  vramForeignBytes: 0,
  unusableReason,
});
const LARGE = { ...NO_DEMAND, cpuMillis: 1_000, gpus: 1, vramBytes: 20 * GIB };

test.each([
  ['the idle one was lost', { gpus: [idle('lost', 24, 'GPU is lost'), idle('well', 24)] }, LARGE],
  ['the idle one is too small', { gpus: [idle('small', 8), idle('large', 24)] }, LARGE],
  [
    'all sessions of its encoder are in use',
    { gpus: [idle('a', 24), idle('b', 24)], encoderSessions: 1 },
    { ...LARGE, encoderSessions: 1 },
  ],
])('CPUs are kept for nobody who waits for a GPU at work: %s', (_, capacity, demand) => {
  driver.enrol('den', { ...CAPACITY, ...capacity });
  driver.enrol('gamer', { ...CAPACITY, gpus: [], cpuMillis: 0 });
  driver.submit(units(demand, 2));
  expect(driver.place()).toMatchObject([{ agentId: 'den', job: 1 }]);
  driver.submit(units(CPU, 1));
  expect(driver.place()).toMatchObject([{ agentId: 'den', job: 2 }]);
});
