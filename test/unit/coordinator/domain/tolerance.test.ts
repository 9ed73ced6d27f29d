import { beforeEach, describe, expect, test } from 'vitest';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import type { Job } from '../../../../coordinator/domain/farm.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import {
  countOf,
  FarmDriver,
  failed,
  forEach,
  step,
  succeededWith,
} from '../../../support/farm-driver.ts';

const ONE_ATTEMPT = { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 };

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

const work = (over: Partial<StepSpec> = {}): StepSpec =>
  step('work', { parameters: countOf(6), limits: ONE_ATTEMPT, ...over });

/** Runs all there is; units with these indexes of the step `work` fail. */
function run(failing: readonly number[]): void {
  while (driver.place().length > 0) {
    driver.beatHolding('a1');
    driver.reportAs(driver.leasesOf('a1'), ({ step, unit }) =>
      step === 0 && failing.includes(unit)
        ? failed('invalid-input')
        : succeededWith(`out-${unit}.png`),
    );
    driver.nowMs += 60_000;
    driver.beatHolding('a1');
  }
}

const accepted = (job: Job): (number | undefined)[] =>
  job.steps.map(({ units }) => units?.counts.accepted);

describe('how many failed units a job bears', () => {
  test('none, unless it is told', () => {
    const job = driver.submit([work()]);
    run([2]);
    expect(job.end).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/^j1\/work\/2 /),
    });
  });

  test('so many: it succeeds without them, and says so', () => {
    const failures = { maxFailedUnits: 2, keepGoing: false };
    const collect = step('collect', { parameters: forEach('work', '*.png') });
    const job = driver.submit(
      [work({ outputs: [{ pattern: '*.png', keep: false, optional: false }] }), collect],
      { failures },
    );
    run([1, 4]);
    expect(job.end).toMatchObject({ state: 'succeeded' });
    expect(job.end?.reason).toBe(
      'borne: 2 units failed, the first j1/work/1 invalid-input: it was invalid-input',
    );
    // What comes behind gets what there is.
    expect(accepted(job)).toEqual([4, 4]);
    const image = farmImage(driver.farm);
    expect(farmImage(driver.replayed())).toBe(image);
    expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(image);
  });

  test('one more, and it fails at once', () => {
    const job = driver.submit([work()], { failures: { maxFailedUnits: 1, keepGoing: false } });
    run([0, 1]);
    expect(job.end?.state).toBe('failed');
    expect(accepted(job)[0]).toBeLessThan(4);
  });

  test('or, told to keep going, does all the rest that it can before it fails', () => {
    const steps = [
      work(),
      step('after', { dependsOn: ['work'] }),
      step('beside', { parameters: countOf(3) }),
    ];
    const job = driver.submit(steps, { failures: { maxFailedUnits: 0, keepGoing: true } });
    run([0, 1, 2]);
    expect(job.end).toMatchObject({ state: 'failed' });
    expect(job.end?.reason).toMatch(/^3 units failed, the first j1\/work\/0 /);
    expect(accepted(job)).toEqual([3, 0, 3]);
    driver.ask({ type: 'RetryJob', job: 1, reason: '' });
    run([]);
    expect(job.end?.state).toBe('succeeded');
    expect(accepted(job)).toEqual([6, 1, 3]);
  });
});
