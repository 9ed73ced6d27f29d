/** What a mailbox holds for one who does not read: little, also of a job with thousands of steps. */
import { expect, test } from 'vitest';
import { type JobView, viewOfJob } from '../../../coordinator/domain/views.ts';
import { WatchHub } from '../../../coordinator/watch-hub.ts';
import { FarmDriver, step } from '../../support/farm-driver.ts';

test('of the job as it was it keeps the last look, and that of each end', async () => {
  const hub = new WatchHub();
  const mailbox = hub.open(1);
  const view = viewOfJob(new FarmDriver().submit([step('work')]));
  const looks: Partial<JobView>[] = [{}, {}, { endedAtMs: 5 }, {}, {}];
  looks.forEach((look, at) => {
    const views = [{ ...view, ...look }];
    hub.publish({ number: at, sequence: at, atMs: 0, facts: [], views, agents: [] });
  });
  const mail = await mailbox.next(new AbortController().signal);
  mailbox.close();
  if (mail?.kind !== 'changes') throw new Error(`${mail?.kind}`);
  expect(mail.changes.map(({ sequence, view: kept }) => [sequence, kept?.endedAtMs])).toEqual([
    [0, undefined],
    [1, undefined],
    [2, 5],
    [3, undefined],
    [4, 0],
  ]);
});
