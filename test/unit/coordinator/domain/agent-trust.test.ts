import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { whyClosed } from '../../../../coordinator/domain/roster.ts';
import { CAPACITY, countOf, FarmDriver, failed, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  for (const id of ['good', 'bad']) driver.enrol(id);
});

/** Every agent runs what it is given: `bad` fails it all. */
function round(
  kind: Parameters<typeof failed>[0] = 'failed',
  isBad: (id: string) => boolean = (id) => id === 'bad',
): void {
  driver.nowMs += 1_000;
  for (const id of ['good', 'bad']) driver.beatHolding(id);
  driver.place();
  for (const id of ['good', 'bad']) {
    driver.beatHolding(id);
    driver.report(driver.leasesOf(id), isBad(id) ? failed(kind) : undefined);
  }
}

function closed(agentId: string): string | undefined {
  const agent = driver.liveness.agents.get(agentId)!;
  return whyClosed(driver.liveness, agent, driver.farm.agents.get(agentId)!, driver.now);
}

describe('an agent on which different units fail in a row', () => {
  test('is suspended when the same work goes well elsewhere, and told why', () => {
    driver.submit([step('work', { parameters: countOf(100) })]);
    round();
    round();
    expect(closed('bad')).toMatch(
      /^it is suspended for [45] s more: \d units failed there in a row, the last j1\/work\/\d+ as failed: it was failed$/,
    );
    expect(closed('good')).toBeUndefined();
    round();
    expect(driver.leasesOf('bad')).toEqual([]);
  });

  test('comes back with one unit at a time, after longer and longer pauses', () => {
    driver.submit([step('work', { parameters: countOf(2_000) })]);
    const eaten = (): number => driver.facts.filter((fact) => fact.type === 'LeaseEnded').length;
    for (let second = 0; second < 20; second += 1) round();
    const early = eaten();
    for (let second = 0; second < 100; second += 1) round();
    // After 10 s, 20 s, 40 s and 80 s: one unit each.
    expect(eaten() - early).toBeLessThanOrEqual(3);
    for (let second = 0; second < 90; second += 1) round('failed', () => false);
    expect(closed('bad')).toBeUndefined();
    driver.beatHolding('bad');
    driver.place();
    expect(driver.leasesOf('bad').length).toBeGreaterThan(1);
  });

  test('is not to blame for a job that fails everywhere', () => {
    driver.submit([step('broken', { parameters: countOf(2) })], { priority: 1 });
    driver.submit([step('broken', { parameters: countOf(2) })], { priority: 1 });
    for (let second = 0; second < 40; second += 1) {
      round('failed', () => true);
      expect([closed('good'), closed('bad')]).toEqual([undefined, undefined]);
    }
  });

  test('is trusted again by a success', () => {
    driver.submit([step('work', { parameters: countOf(100) })]);
    round('failed', (id) => id === 'bad' && driver.nowMs % 2_000 === 0);
    for (let second = 0; second < 20; second += 1) {
      round('failed', (id) => id === 'bad' && driver.nowMs % 2_000 === 0);
    }
    expect(closed('bad') ?? '').not.toContain('suspended for 10');
  });
});

describe('an agent whose machine is at fault', () => {
  test('is suspended at once, and probes itself', () => {
    driver.submit([step('work', { parameters: countOf(100) })]);
    round('infrastructure');
    expect(closed('bad')).toBe('it is suspended for 5 s more: it was infrastructure');
    expect(driver.liveness.agents.get('bad')?.trust.owesProbe).toBe(true);
  });

  test('a cause that several share suspends none: grants pause for all', () => {
    const away = {
      state: 'failed',
      kind: 'infrastructure',
      message: 'the coordinator at http://10.0.0.1:7401 cannot be reached: timeout',
    } as const;
    driver.submit([step('work', { parameters: countOf(100) })]);
    driver.place();
    for (const id of ['good', 'bad']) {
      driver.beatHolding(id);
      driver.report(driver.leasesOf(id).slice(0, 1), away);
    }
    expect([closed('good'), closed('bad')]).toEqual([undefined, undefined]);
    expect(driver.liveness.shared.cause).toBe(away.message);
    expect(driver.liveness.shared.pausedUntilMs).toBe(driver.nowMs + 5_000);
    driver.report(driver.leasesOf('good').slice(0, 1));
    expect(driver.liveness.shared.pausedUntilMs).toBe(0);
  });

  test('is not suspended when one of its GPUs alone is ill', () => {
    const demand = { ...NO_DEMAND, gpus: 1, vramBytes: 1 };
    driver.submit([step('work', { demand, parameters: countOf(2) })]);
    driver.place();
    const ill = CAPACITY.gpus.map((gpu) => ({ ...gpu, unusableReason: 'GPU is lost' }));
    driver.beatHolding('bad');
    driver.beat('bad', { capacity: { ...CAPACITY, gpus: ill } });
    driver.report(driver.leasesOf('bad'), failed('infrastructure'));
    expect(driver.facts.filter(({ type }) => type === 'LeaseEnded')).not.toEqual([]);
    expect(closed('bad')).toBeUndefined();
    // Of the same failure where its GPU is well, the agent is suspended.
    driver.report(driver.leasesOf('good'), failed('infrastructure'));
    expect(closed('good')).toContain('suspended');
  });
});
