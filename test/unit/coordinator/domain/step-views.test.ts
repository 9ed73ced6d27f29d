/** What a commit shows of a job is what is there, however little of it is looked at anew. */
import assert from 'node:assert';
import { expect, test } from 'vitest';
import type { Fact } from '../../../../coordinator/domain/facts.ts';
import { StepViews } from '../../../../coordinator/domain/step-views.ts';
import { Touched } from '../../../../coordinator/domain/touched.ts';
import { viewOfJob } from '../../../../coordinator/domain/views.ts';
import {
  countOf,
  failed,
  FarmDriver,
  forEach,
  step,
  succeededWith,
} from '../../../support/farm-driver.ts';

/** Looks at the job after each fact, as commits do. */
class LookedAt extends FarmDriver {
  looks = 0;
  /** None yet while the farm begins. */
  readonly stepViews: StepViews | undefined = new StepViews();

  override record(fact: Fact): void {
    const before = this.facts.length;
    const touched = new Touched();
    touched.note(this.farm, fact);
    super.record(fact);
    for (const next of this.facts.slice(before + 1)) touched.note(this.farm, next);
    if (this.stepViews === undefined) return;
    for (const view of touched.views(this.farm, this.stepViews).views) {
      assert.deepStrictEqual(view, viewOfJob(this.job(view.number)));
      this.looks += 1;
    }
  }
}

const film = (suffix: string) => [
  step(`split${suffix}`),
  step(`encode${suffix}`, {
    dependsOn: [`split${suffix}`],
    parameters: forEach(`split${suffix}`, 'piece-*'),
  }),
  step(`concat${suffix}`, { dependsOn: [`encode${suffix}`], parameters: countOf(2) }),
];
const END = step('results', { dependsOn: ['concat-0', 'concat-1'] });

test.each([0, 1])('through a job that bears %i failed units, its end and its retry', (most) => {
  const driver = new LookedAt();
  driver.enrol('den');
  driver.submit([...film('-0'), ...film('-1'), END], {
    failures: { maxFailedUnits: most, keepGoing: false },
  });
  driver.place();
  const [first, second] = driver.leasesOf('den');
  driver.report([first!], succeededWith('piece-0', 'piece-1'));
  driver.beatHolding('den');
  driver.report([second!], succeededWith('piece-0'));
  driver.place();
  driver.report(driver.leasesOf('den').slice(0, 1), failed('invalid-input'));
  driver.report(driver.leasesOf('den'));
  driver.runAll();
  expect(driver.job(1).end?.state).toBe(most === 0 ? 'failed' : 'succeeded');
  driver.ask({ type: 'RetryJob', job: 1, reason: '', missingBlobs: [] });
  driver.runAll();
  expect(driver.looks).toBeGreaterThan(10);
});

test('whoever leads a store that lacks commits takes all leases back, and that is shown', () => {
  const driver = new LookedAt();
  driver.enrol('den');
  driver.submit([...film('-0'), ...film('-1'), END]);
  driver.place();
  const sequence = driver.facts.length + 1;
  const looks = driver.looks;
  const reign = { epoch: 2, reignId: 'two', sequence, acceptsLoss: true, atMs: 1 };
  driver.record({ type: 'EpochStarted', ...reign });
  expect(driver.looks).toBe(looks + 1);
});
