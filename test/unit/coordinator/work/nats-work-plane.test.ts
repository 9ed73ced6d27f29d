/** Progress as it comes from NATS, without a server: what is kept of it, and for how long. */
import { expect, test } from 'vitest';
import type { Msg, NatsConnection } from 'nats';
import pino from 'pino';
import { WatchHub } from '../../../../coordinator/watch-hub.ts';
import { subscribeProgress } from '../../../../coordinator/work/nats-work-plane.ts';
import { Progress } from '../../../../proto/gen/furrow/work/v1/work.ts';
import { PROGRESS_SUBJECTS, progressSubject } from '../../../../proto/subjects.ts';
import { FarmDriver, step } from '../../../support/farm-driver.ts';

type Subscribed = { readonly callback: (error: null, message: Msg) => void };

test('progress of a job that has ended, or never was, is not kept', () => {
  const driver = new FarmDriver();
  for (const name of ['open', 'ended']) driver.submit([step(name)]);
  driver.ask({ type: 'CancelJob', job: 2, reason: '' });
  const callbacks = new Map<string, Subscribed['callback']>();
  const nats = {
    subscribe: (subject: string, { callback }: Subscribed) => callbacks.set(subject, callback),
  } as unknown as NatsConnection;
  const hub = new WatchHub();
  subscribeProgress(nats, driver.farm, hub, pino({ level: 'silent' }));
  const units = [{ step: 'work', unit: 0, attempt: 1, fraction: 0.5, counter: 1, note: '' }];
  const data = Progress.encode({ agentId: 'a1', units }).finish();
  for (const job of ['j1', 'j2', 'j3']) {
    callbacks.get(PROGRESS_SUBJECTS)?.(null, { subject: progressSubject(job, 'a1'), data } as Msg);
  }
  expect([1, 2, 3].map((job) => hub.fractionOf(job, `j${job}/work/0`))).toEqual([0.5, 0, 0]);
});
