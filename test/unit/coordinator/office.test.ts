/** What a leader shows of a job while its journal gives no answer: only what cannot be lost any more. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CommandLoop } from '../../../coordinator/command-loop.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import type { Farm, Job } from '../../../coordinator/domain/farm.ts';
import { newLiveness } from '../../../coordinator/domain/liveness.ts';
import type { Follower } from '../../../coordinator/journal/follower.ts';
import { Office } from '../../../coordinator/office.ts';
import type { AppendOutcome, Journal } from '../../../coordinator/ports.ts';
import { systemClock } from '../../../kit/clock.ts';
import { FarmDriver, LEASE_TTL_MS, step } from '../../support/farm-driver.ts';

let driver: FarmDriver;
let office: Office;
let loop: CommandLoop;
let settle: (outcome: AppendOutcome) => void = () => {};
let appended: (readonly Fact[])[] = [];
let followerAgeMs = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('first')]);
  driver.submit([step('second')]);
  appended = [];
  const journal: Journal = {
    maxCommitBytes: 512 * 1024,
    measure: () => 100,
    append: (facts) => {
      appended.push(facts);
      return new Promise((resolve) => (settle = resolve));
    },
  };
  const { farm } = driver;
  const liveness = newLiveness(LEASE_TTL_MS);
  const effects = {
    grant() {},
    stop() {},
    retract() {},
    committed() {},
    stalled() {},
    superseded() {},
  };
  loop = new CommandLoop({ farm, liveness, journal, clock: systemClock, effects });
  const follower = {
    get ageMs() {
      return followerAgeMs;
    },
    lagCommits: 0,
  } as Follower;
  office = new Office({
    farm,
    liveness,
    follower,
    monotonicMs: () => systemClock.monotonicMs(),
    lastSequence: () => 1,
    missing: () => {},
  });
});

afterEach(() => {
  loop.stop();
  vi.useRealTimers();
});

const isPaused = (_: Farm, job: Job): boolean => job.paused;

/** Two commits are on their way, and there is no answer. */
async function doubt(): Promise<void> {
  office.lead(loop);
  void office.submit({ type: 'PauseJob', job: 1, reason: '' }).catch(() => {});
  await vi.advanceTimersByTimeAsync(10);
  expect(appended).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(office.standing.state).toBe('in-doubt');
}

describe('in doubt', () => {
  test('a job that nothing has touched since is read, with its age', async () => {
    await doubt();
    expect(await office.readJob(2, isPaused)).toBe(false);
    expect(office.ageMs).toBeGreaterThanOrEqual(2_000);
  });

  test('one that a commit in flight changes is not', async () => {
    await doubt();
    const read = office.readJob(1, isPaused);
    await expect(read).rejects.toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
    settle({ state: 'committed', number: 1, sequence: 1 });
    await vi.advanceTimersByTimeAsync(10);
    expect(await office.readJob(1, isPaused)).toBe(true);
  });

  test('one that is about to leave the memory is not said to be gone', async () => {
    await doubt();
    driver.farm.jobs.delete(2);
    const read = office.readJob(2, isPaused);
    await expect(read).rejects.toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
  });

  test('that lasts is trouble; so is a store that refuses; a short one is not', async () => {
    await doubt();
    expect(office.trouble).toBeUndefined();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(office.trouble).toMatchObject({ code: 'unavailable', reason: 'JOURNAL_UNREACHABLE' });
    settle({ state: 'refused', message: 'the store is full' });
    await vi.advanceTimersByTimeAsync(100);
    expect(office.trouble?.message).toContain('the store is full');
    await vi.advanceTimersByTimeAsync(2_000);
    settle({ state: 'committed', number: 1, sequence: 1 });
    await vi.advanceTimersByTimeAsync(10);
    expect(office.trouble).toBeUndefined();
  });
});

test('a standby that cannot read the journal for seconds is in trouble', () => {
  followerAgeMs = 1_000;
  expect(office.trouble).toBeUndefined();
  followerAgeMs = 6_000;
  expect(office.trouble).toMatchObject({ code: 'unavailable', reason: 'BEHIND' });
});
