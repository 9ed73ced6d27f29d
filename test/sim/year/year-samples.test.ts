import { beforeEach, expect, test } from 'vitest';
import { book, emptyBooking, NO_DEMAND } from '../../../coordinator/domain/demand.ts';
import { CAPACITY, FarmDriver, step } from '../../support/farm-driver.ts';
import { YearSamples } from './year-samples.ts';

const HOUR_MS = 3_600_000;
const GIB = 2 ** 30;
const DEMAND = { ...NO_DEMAND, cpuMillis: 4_000, gpus: 1, vramBytes: 4 * GIB };

let driver: FarmDriver;
let complaints: string[];
beforeEach(() => {
  driver = new FarmDriver();
  driver.submit([step('work', { demand: DEMAND })]);
  complaints = [];
});

/** Looks once an hour at one machine. */
function look(
  hours: number,
  box: { readonly isSound: boolean; readonly isBusy: boolean },
): YearSamples {
  const booking = emptyBooking();
  if (box.isBusy) book(booking, DEMAND, ['gpu-0']);
  const seen = { id: 'box-1', capacity: CAPACITY, booking, isSound: box.isSound };
  const samples = new YearSamples([seen], (what) => void complaints.push(what));
  for (let hour = 0; hour <= hours; hour += 1) {
    samples.look(driver.farm, hour * HOUR_MS, driver.now.wallMs);
  }
  return samples;
}

test('what waits for hours while a machine has room for it starves', () => {
  look(5, { isSound: true, isBusy: false });
  expect(complaints).toEqual([]);
  look(6, { isSound: true, isBusy: false });
  expect(complaints).toEqual([expect.stringContaining('box-1 had room for one all the time')]);
});

test('what waits for a machine that is busy, or not to be used, does not', () => {
  look(24, { isSound: true, isBusy: true });
  look(24, { isSound: false, isBusy: false });
  expect(complaints).toEqual([]);
});

test('GPUs are idle while something waits that they could run', () => {
  expect(look(4, { isSound: true, isBusy: false }).gpuIdleShare).toBe(1);
  expect(look(4, { isSound: true, isBusy: true }).gpuIdleShare).toBe(0);
  driver.ask({ type: 'CancelJob', job: 1, reason: '' });
  expect(look(4, { isSound: true, isBusy: false }).gpuIdleShare).toBe(0);
});

test('a farm that does not hold together is told of', () => {
  const samples = new YearSamples([], (what) => void complaints.push(what));
  driver.farm.ready.remove(driver.job(1).steps[0]!.classKey, {
    job: 1,
    step: 0,
    priority: 0,
    owner: '',
    eighths: 0,
  });
  samples.checkWhole(driver.farm, driver.liveness);
  expect(complaints).toEqual([expect.stringContaining('ready but not indexed')]);
});
