/** GPUs that are ill get nothing, say why, and do not make a box too small for good. */
import { expect, test } from 'vitest';
import {
  emptyBooking,
  fits,
  type GpuCapacity,
  NO_DEMAND,
  whenEmpty,
} from '../../../../coordinator/domain/demand.ts';
import { CAPACITY } from '../../../support/farm-driver.ts';

const GIB = 2 ** 30;
const DEMAND = { ...NO_DEMAND, gpus: 1, vramBytes: GIB };

const gpu = (id: string, unusableReason?: string): GpuCapacity => ({
  id,
  name: `GPU ${id}`,
  vramTotalBytes: 8 * GIB,
  vramForeignBytes: 0,
  unusableReason,
});

test('one that is ill is passed over', () => {
  const capacity = { ...CAPACITY, gpus: [gpu('a', 'GPU is lost'), gpu('b')] };
  expect(fits(DEMAND, capacity, emptyBooking())).toEqual({ state: 'fits', gpuIds: ['b'] });
});

test('where it is the only one, the reason names it; what needs no GPU fits', () => {
  const capacity = { ...CAPACITY, gpus: [gpu('a', 'GPU is lost')] };
  const fit = fits(DEMAND, capacity, emptyBooking());
  expect(fit.state === 'short' && fit.reason()).toBe(
    'needs 1 GPU; has none; GPU a cannot be used: GPU is lost',
  );
  expect(fits(NO_DEMAND, capacity, emptyBooking()).state).toBe('fits');
});

test('it may get well: what it could run is no misfit', () => {
  const capacity = whenEmpty({ ...CAPACITY, gpus: [gpu('a', 'GPU is lost')] });
  expect(fits(DEMAND, capacity, emptyBooking()).state).toBe('fits');
});
