import { expect, test } from 'vitest';
import { type Measured, NOTHING_MEASURED } from '../../../../coordinator/domain/learned-sizes.ts';
import { stallTimeoutOf } from '../../../../coordinator/domain/stall.ts';
import { FarmDriver, step } from '../../../support/farm-driver.ts';

const FARM_LIMIT_MS = 120_000;

test.each<[string, number, Partial<Measured> | undefined, number]>([
  ['nothing is known', 0, undefined, FARM_LIMIT_MS],
  ['few were seen', 0, { units: 19, runMs: 19 * 4_000 }, FARM_LIMIT_MS],
  ['they take 4 s', 0, { units: 20, runMs: 20 * 4_000 }, 40_000],
  ['they take no time', 0, { units: 20, runMs: 20 }, 30_000],
  ['they take long', 0, { units: 20, runMs: 20 * 60_000 }, FARM_LIMIT_MS],
  ['its user gave a limit', 600_000, { units: 20, runMs: 20 * 4_000 }, 600_000],
])('%s', (_, givenMs, learned, limitMs) => {
  const driver = new FarmDriver();
  const limits = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: givenMs };
  const job = driver.submit([step('work', { limits })]);
  const size = learned && { ...NOTHING_MEASURED, ...learned, kind: 'steps/work' };
  expect(stallTimeoutOf(job.steps[0]!, size)).toBe(limitMs);
});
