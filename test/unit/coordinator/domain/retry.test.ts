import { beforeEach, describe, expect, test } from 'vitest';
import type { EndKind, LeaseEnded } from '../../../../coordinator/domain/facts.ts';
import { MAX_DELAY_MS } from '../../../../coordinator/domain/unit-table.ts';
import { viewOfUnits } from '../../../../coordinator/domain/views.ts';
import { countOf, FarmDriver, failed, LEASE_TTL_MS, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

const LIMITS = { maxAttempts: 3, runTimeoutMs: 0, stallTimeoutMs: 0 };
const LONG_MS = 40 * 60_000;

type ReportableKind = Extract<EndKind, Parameters<typeof failed>[0]>;

/** Lets the unit end in this way once more; the fact that ended it. */
function endOnce(kind: ReportableKind): LeaseEnded | undefined {
  driver.nowMs += LONG_MS;
  driver.beatHolding('a1');
  driver.place();
  driver.report(driver.leasesOf('a1'), failed(kind));
  return driver.facts.findLast((fact) => fact.type === 'LeaseEnded');
}

describe('the kind of a failure decides', () => {
  test.each(['failed', 'timed-out', 'bad-output'] as const)(
    '%s counts, and the last of three ends the job',
    (kind) => {
      const job = driver.submit([step('work', { limits: LIMITS })]);
      expect(endOnce(kind)?.counts).toBe(true);
      endOnce(kind);
      expect(job.end).toBeUndefined();
      endOnce(kind);
      expect(job.end).toMatchObject({ state: 'failed' });
      expect(job.end?.reason).toBe(`j1/work/0 ${kind} after 3 attempts: it was ${kind}`);
    },
  );

  test('invalid-input ends the unit at once', () => {
    const job = driver.submit([step('work', { limits: LIMITS })]);
    endOnce('invalid-input');
    expect(job.end?.state).toBe('failed');
  });

  test('infrastructure does not count, but not for ever', () => {
    const job = driver.submit([step('work', { limits: LIMITS })]);
    for (let attempt = 1; attempt < 50; attempt += 1) {
      const end = endOnce('infrastructure');
      expect(end).toMatchObject({ counts: false, next: { kind: 'queued' } });
    }
    endOnce('infrastructure');
    expect(job.end?.state).toBe('failed');
  });

  test('evicted goes to the front and counts for nothing', () => {
    driver.submit([step('work', { limits: LIMITS, parameters: countOf(9) })]);
    driver.place();
    driver.report(driver.leasesOf('a1').slice(3), failed('evicted'));
    expect(driver.place()[0]?.units).toEqual([3]);
  });
});

describe('back-off', () => {
  test('grows, and the unit is not placed before its time', () => {
    const job = driver.submit([step('work', { limits: { ...LIMITS, maxAttempts: 6 } })]);
    const pauses: number[] = [];
    for (let attempt = 1; attempt < 6; attempt += 1) {
      const end = endOnce('failed');
      if (end?.next.kind !== 'queued') throw new Error('not queued again');
      pauses.push(end.next.notBeforeMs - driver.now.wallMs);
    }
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(750 * 2 ** index);
      expect(pause).toBeLessThanOrEqual(1_250 * 2 ** index);
    }
    expect(driver.place()).toEqual([]);
    const [unit] = viewOfUnits(driver.farm, job, () => true, 0, 1).units;
    expect(unit).toMatchObject({ state: 'queued', attempts: 5, failureKind: 'failed' });
    driver.nowMs += pauses.at(-1) ?? 0;
    driver.beat('a1');
    expect(driver.place()).toHaveLength(1);
  });

  test('is never longer than a unit waits for a clock that was set', () => {
    driver.submit([step('work', { limits: { ...LIMITS, maxAttempts: 100 } })]);
    for (let attempt = 1; attempt < 40; attempt += 1) {
      const end = endOnce('failed');
      if (end?.next.kind !== 'queued') throw new Error('not queued again');
      expect(end.next.notBeforeMs - driver.now.wallMs).toBeLessThan(MAX_DELAY_MS);
    }
  });

  test('prefers another agent', () => {
    driver.enrol('a2');
    driver.submit([step('work')]);
    const [first] = driver.place();
    driver.report(driver.leasesOf(first!.agentId), failed('failed'));
    driver.nowMs += LONG_MS;
    for (const agentId of ['a1', 'a2']) driver.beat(agentId);
    expect(driver.place()[0]?.agentId).not.toBe(first!.agentId);
  });
});

describe('a unit that loses its agents', () => {
  /** The unit runs on this agent, which is not heard of again. */
  function loseOn(agentId: string): void {
    driver.enrol(agentId);
    driver.place();
    driver.beatHolding(agentId);
    driver.pass(LEASE_TTL_MS);
  }

  /** It comes back as another session, and goes as it should. */
  function startAgain(agentId: string): void {
    driver.beat(agentId, { session: `${agentId}-session-2`, inventory: [], grantsHandled: 0 });
    driver.beat(agentId, { leaving: true });
  }

  /** It slept: it is back as it was, with what it ran. */
  function wakeUp(agentId: string): void {
    driver.beat(agentId);
    driver.beat(agentId, { inventory: [], leaving: true });
  }

  test('is quarantined after three losses on two agents that went down', () => {
    const job = driver.submit([step('work')]);
    loseOn('a1');
    startAgain('a1');
    loseOn('a2');
    startAgain('a2');
    expect(job.end).toBeUndefined();
    loseOn('a3');
    expect(job.end).toMatchObject({ state: 'failed' });
    expect(job.end?.reason).toContain('lost');
  });

  test('is not blamed for agents that slept', () => {
    const job = driver.submit([step('work')]);
    const losses = (): number => job.steps[0]?.units?.lossCountOf(0) ?? 0;
    for (const agentId of ['a1', 'a2', 'a3', 'a4', 'a5']) {
      loseOn(agentId);
      wakeUp(agentId);
      // That they are started again later says nothing of the time when they slept.
      startAgain(agentId);
    }
    expect(losses()).toBe(5);
    expect(job.end).toBeUndefined();
    for (const agentId of ['a6', 'a7', 'a8']) {
      loseOn(agentId);
      startAgain(agentId);
    }
    expect(losses()).toBe(8);
    expect(job.end).toMatchObject({ state: 'failed' });
  });

  test('may be to blame where agents stay silent: five of them are enough', () => {
    const job = driver.submit([step('work')]);
    for (const agentId of ['a1', 'a2', 'a3', 'a4']) loseOn(agentId);
    expect(job.end).toBeUndefined();
    loseOn('a5');
    expect(job.end).toMatchObject({ state: 'failed' });
  });

  test('is not blamed for one bad agent', () => {
    const job = driver.submit([step('work')]);
    for (let loss = 0; loss < 5; loss += 1) {
      driver.place();
      driver.beatHolding('a1');
      // It is gone from the inventory: ended, not adopted again.
      driver.beat('a1', { inventory: [] });
    }
    expect(job.end).toBeUndefined();
    expect(job.steps[0]?.units?.lossCountOf(0)).toBe(5);
  });
});
