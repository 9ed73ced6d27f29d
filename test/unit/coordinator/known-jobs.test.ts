import { expect, test } from 'vitest';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import { type JobView, viewOfJob } from '../../../coordinator/domain/views.ts';
import type { JobArchive } from '../../../coordinator/job-archive.ts';
import { KnownJobs } from '../../../coordinator/known-jobs.ts';
import { ReadModel } from '../../../coordinator/read-model.ts';
import { FarmDriver, step } from '../../support/farm-driver.ts';

/** Jobs with so many steps each, the newest last. */
function knownWith(...steps: readonly number[]): KnownJobs {
  const view = viewOfJob(new FarmDriver().submit([step('work')]));
  const readModel = new ReadModel(emptyFarm(), 1);
  const views = steps.map((count, index): JobView => {
    return {
      ...view,
      number: index + 1,
      steps: Array<JobView['steps'][number]>(count).fill(view.steps[0]!),
    };
  });
  readModel.publish({ number: 2, sequence: 2, atMs: 0, facts: [], views, agents: [] });
  return new KnownJobs(emptyFarm(), readModel, {} as JobArchive);
}

async function pagesOf(known: KnownJobs): Promise<number[][]> {
  const pages: number[][] = [];
  for (let before: number | undefined = Infinity; before !== undefined;) {
    const page = await known.list(before, 100, { ended: 'all' });
    pages.push(page.jobs.map(({ number }) => number));
    before = page.next;
  }
  return pages;
}

test('a page of jobs has no more steps than a message should carry, and every job is on one', async () => {
  expect(await pagesOf(knownWith(1, 2, 3))).toEqual([[3, 2, 1]]);
  expect(await pagesOf(knownWith(1, 20_000, 20_000, 20_000, 20_000))).toEqual([
    [5, 4],
    [3, 2, 1],
  ]);
  expect(await pagesOf(knownWith(60_000, 60_000, 1))).toEqual([[3], [2], [1]]);
});
