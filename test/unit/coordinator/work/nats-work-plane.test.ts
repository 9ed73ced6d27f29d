/** Progress as it comes from NATS, without a server: what is kept of it, and for how long. */
import { beforeEach, expect, test } from 'vitest';
import type { Msg, NatsConnection } from 'nats';
import pino from 'pino';
import { viewOfJob } from '../../../../coordinator/domain/views.ts';
import { WatchHub } from '../../../../coordinator/watch-hub.ts';
import { subscribeProgress } from '../../../../coordinator/work/nats-work-plane.ts';
import { Progress } from '../../../../proto/gen/furrow/work/v1/work.ts';
import { PROGRESS_SUBJECTS, progressSubject } from '../../../../proto/subjects.ts';
import { failed, FarmDriver, step } from '../../../support/farm-driver.ts';

type Subscribed = { readonly callback: (error: null, message: Msg) => void };

let driver: FarmDriver;
let hub: WatchHub;
let hear: (job: string, agentId: string, attempt: number, fraction: number) => void;

beforeEach(() => {
  driver = new FarmDriver();
  hub = new WatchHub();
  const callbacks = new Map<string, Subscribed['callback']>();
  const nats = {
    subscribe: (subject: string, { callback }: Subscribed) => callbacks.set(subject, callback),
  } as unknown as NatsConnection;
  subscribeProgress(nats, driver.farm, hub, pino({ level: 'silent' }));
  hear = (job, agentId, attempt, fraction) => {
    const units = [{ step: 'work', unit: 0, attempt, fraction, counter: 1, note: '' }];
    const data = Progress.encode({ agentId, units }).finish();
    const message = { subject: progressSubject(job, agentId), data } as Msg;
    callbacks.get(PROGRESS_SUBJECTS)?.(null, message);
  };
});

const fractionOf = (job: number, agentId?: string): number =>
  hub.fractionOf(job, `j${job}/work/0`, agentId);

/** Tells the hub what was decided since fact number `from`, as one commit. */
function publish(from: number): void {
  const facts = driver.facts.slice(from);
  const views = [viewOfJob(driver.job(1))];
  hub.publish({ number: from, sequence: from, atMs: 0, facts, views, agents: [] });
}

test('progress of a job that has ended, or never was, is not kept', () => {
  for (const name of ['open', 'ended']) driver.submit([step('work')], { name });
  driver.enrol('a1');
  driver.place();
  driver.ask({ type: 'CancelJob', job: 2, reason: '' });
  for (const job of ['j1', 'j2', 'j3']) hear(job, 'a1', 1, 0.5);
  expect([1, 2, 3].map((job) => fractionOf(job))).toEqual([0.5, 0, 0]);
});

test('a unit that runs twice is as far as the one that is further, whoever spoke last', () => {
  driver.submit([step('work')]);
  for (const agentId of ['slow', 'quick']) driver.enrol(agentId);
  driver.place();
  const [first] = driver.farm.leases.values();
  const other = first!.agentId === 'slow' ? 'quick' : 'slow';
  driver.record(driver.copyOf(first!, other));
  hear('j1', first!.agentId, 1, 0.4);
  hear('j1', other, 2, 0.7);
  expect(fractionOf(1)).toBe(0.7);
  hear('j1', first!.agentId, 1, 0.45);
  expect(fractionOf(1)).toBe(0.7);
  expect([fractionOf(1, first!.agentId), fractionOf(1, other)]).toEqual([0.45, 0.7]);
});

test('the next attempt begins anew, whatever comes late of the one before', () => {
  driver.submit([step('work')]);
  driver.enrol('a1');
  driver.place();
  hear('j1', 'a1', 1, 0.9);
  expect(fractionOf(1)).toBe(0.9);
  const from = driver.facts.length;
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1'), failed('failed'));
  publish(from);
  expect(fractionOf(1)).toBe(0);
  hear('j1', 'a1', 1, 0.95);
  expect(fractionOf(1)).toBe(0);
  driver.nowMs += 10_000;
  driver.beatHolding('a1');
  expect(driver.place()).toHaveLength(1);
  hear('j1', 'a1', 1, 0.95);
  hear('j1', 'a1', 2, 0.1);
  expect(fractionOf(1)).toBe(0.1);
});

test('watchers hear of both attempts', async () => {
  driver.submit([step('work')]);
  const mailbox = hub.open(1);
  const seen = { unitId: 'j1/work/0', counter: 1, note: '' };
  hub.progress(1, [{ ...seen, agentId: 'a', attempt: 1, fraction: 0.4 }]);
  hub.progress(1, [{ ...seen, agentId: 'b', attempt: 2, fraction: 0.7 }]);
  hub.progress(1, [{ ...seen, agentId: 'a', attempt: 1, fraction: 0.5 }]);
  expect(await mailbox.next(new AbortController().signal)).toMatchObject({
    kind: 'progress',
    units: [
      { attempt: 1, fraction: 0.5 },
      { attempt: 2, fraction: 0.7 },
    ],
  });
  mailbox.close();
});
