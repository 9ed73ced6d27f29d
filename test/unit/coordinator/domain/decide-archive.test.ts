import { beforeEach, expect, test } from 'vitest';
import type { Answer, ArchiveJobs } from '../../../../coordinator/domain/commands.ts';
import { FarmDriver, step, submitJob } from '../../../support/farm-driver.ts';

const PART = { hash: 'ab'.repeat(32), sizeBytes: 7 };

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

function reasonOf(answer: Answer): string {
  return answer.kind === 'refused' ? answer.reason : answer.kind;
}

function endedJob(clientId: string): number {
  const { number } = driver.submit([step('work')], { clientId });
  driver.ask({ type: 'CancelJob', job: number, reason: '' });
  return number;
}

function archiving(...numbers: readonly number[]): ArchiveJobs {
  const jobs = numbers.map((number) => {
    return { number, endedAtMs: driver.farm.jobs.get(number)?.end?.atMs ?? 0 };
  });
  return { type: 'ArchiveJobs', name: `1-${numbers.join('-')}`, index: PART, images: PART, jobs };
}

test('archived jobs leave the memory, all but where they lie', () => {
  const jobs = [endedJob('a'), endedJob('b')];
  expect(reasonOf(driver.ask(archiving(...jobs)))).toBe('done');
  expect(driver.farm.jobs.size).toBe(0);
  expect(driver.farm.jobByClientId.size).toBe(0);
  expect(driver.farm.archive).toMatchObject([{ ranges: [1, 2], index: PART, removed: [] }]);
});

test('a job that was retried since it was stored stays, and so do those stored with it', () => {
  const job = endedJob('a');
  const { number } = driver.submit([step('work')]);
  const atMs = driver.now.wallMs;
  driver.record({ type: 'JobEnded', job: number, succeeded: false, reason: '', atMs });
  const stored = archiving(job, number);
  driver.ask({ type: 'RetryJob', job: number, reason: '' });
  expect(reasonOf(driver.ask(stored))).toBe('JOB_CHANGED');
  expect(driver.farm.jobs.size).toBe(2);
});

test('a submit with the client id of an archived job is a repeat, or a reuse', () => {
  const job = endedJob('film-7');
  driver.ask(archiving(job));
  const again = submitJob([step('work')], { clientId: 'film-7' });
  // Nobody has looked yet.
  expect(reasonOf(driver.ask(again))).toBe('ARCHIVE_UNREAD');
  const archived = { segments: ['1-1'], found: { job, requestHash: 'hash' } };
  expect(driver.ask({ ...again, archived })).toEqual({
    kind: 'job',
    job,
    repeated: true,
    units: 0,
  });
  const other = { ...again, requestHash: 'another', archived };
  expect(reasonOf(driver.ask(other))).toBe('CLIENT_ID_REUSED');
  expect(driver.farm.lastJob).toBe(job);
});

test('a client id that only looks like an archived one, or whose job was removed, is free', () => {
  const jobs = [endedJob('film-7'), endedJob('film-8')];
  driver.ask(archiving(...jobs));
  const segments = ['1-1-2'];
  const again = submitJob([step('work')], { clientId: 'film-7' });
  const found = { job: jobs[0] ?? 0, requestHash: 'hash' };
  driver.ask({ type: 'RemoveJob', job: found.job });
  // Found before it was removed.
  expect(driver.ask({ ...again, archived: { segments, found } })).toMatchObject({ job: 3 });
});

test('only what has ended can be removed, archived or not, and only once', () => {
  const open = driver.submit([step('work')]).number;
  const [ended, archived] = [endedJob('a'), endedJob('b')];
  driver.ask(archiving(archived));
  const remove = (job: number): string => reasonOf(driver.ask({ type: 'RemoveJob', job }));
  expect(remove(open)).toBe('JOB_OPEN');
  expect([remove(ended), remove(archived)]).toEqual(['done', 'done']);
  expect([remove(ended), remove(archived), remove(99)]).toEqual(Array(3).fill('JOB_UNKNOWN'));
  expect(driver.farm.jobs.has(ended)).toBe(false);
  expect(driver.farm.archive).toEqual([]);
});

test('an archived job is not steered any more, and says so', () => {
  const job = endedJob('a');
  driver.ask(archiving(job));
  for (const type of ['RetryJob', 'CancelJob', 'PauseJob', 'ResumeJob'] as const) {
    expect(reasonOf(driver.ask({ type, job, reason: '' }))).toBe('JOB_ARCHIVED');
  }
});
