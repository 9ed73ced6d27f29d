/** An agent that takes units and has no room for them, whatever its capacity says. */
import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import type { Token } from '../../../../coordinator/domain/token.ts';
import { countOf, FarmDriver, failed, held, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

function granted(): number {
  return driver.place().reduce((sum, grant) => sum + grant.units.length, 0);
}

/** The agent lists what it has in these states, one by one; what is beyond them it has handed back. */
function beat(...states: ('running' | 'waiting')[]): void {
  const leases = driver.leasesOf('a1');
  const inventory = states.map((state, index) => held(leases[index]!.token, state));
  const grantsHandled = driver.liveness.agents.get('a1')!.lastGrantNumber;
  driver.beat('a1', { inventory, grantsHandled });
}

/** Milliseconds until something is granted, looked at as often as the ticks do. */
function untilGranted(): number {
  for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 250) {
    if (granted() > 0) return waitedMs;
    driver.pass(250);
    beat();
  }
  return Infinity;
}

describe('units that are handed back', () => {
  test('are offered again after growing pauses', () => {
    driver.submit([step('work')]);
    const pauses: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      pauses.push(untilGranted());
      beat('waiting');
      driver.pass(3_000);
      beat();
    }
    expect(pauses).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test('together are one failure', () => {
    driver.submit([step('work', { parameters: countOf(4) })]);
    expect(granted()).toBe(4);
    beat('waiting', 'waiting', 'waiting', 'waiting');
    driver.pass(3_000);
    beat();
    expect(untilGranted()).toBe(500);
  });

  test('leave room for as many as run, and for units of other kinds', () => {
    driver.submit([step('work', { parameters: countOf(9) })]);
    expect(granted()).toBe(4);
    beat('running', 'waiting', 'waiting', 'waiting');
    driver.pass(3_000);
    beat('running');
    expect(granted()).toBe(0);
    driver.report(driver.leasesOf('a1'));
    expect(granted()).toBe(1);
    driver.submit([step('small', { demand: { ...NO_DEMAND, cpuMillis: 500 } })]);
    expect(granted()).toBe(1);
  });

  test('count for nothing when a pause of their job took them back', () => {
    const { number } = driver.submit([step('work')]);
    expect(granted()).toBe(1);
    beat('waiting');
    driver.decide({ type: 'PauseJob', job: number, reason: '' });
    beat();
    driver.decide({ type: 'ResumeJob', job: number, reason: '' });
    expect(granted()).toBe(1);
  });

  test('are forgotten after a minute', () => {
    driver.submit([step('work')]);
    for (let round = 0; round < 4; round += 1) {
      untilGranted();
      beat('waiting');
      driver.pass(3_000);
      beat();
    }
    expect(untilGranted()).toBe(4_000);
    for (let seconds = 0; seconds < 64; seconds += 4) {
      beat('running');
      driver.pass(4_000);
    }
    driver.report(driver.leasesOf('a1'), failed('evicted'));
    expect(granted()).toBe(1);
    beat('waiting');
    driver.pass(3_000);
    beat();
    expect(untilGranted()).toBe(500);
  });
});

test('a class that is refused pauses alone, also while others are taken', () => {
  const answer = (refused: readonly { token: Token; reason: string }[]): void => {
    const { lastGrantNumber: grantNumber, session } = driver.liveness.agents.get('a1')!;
    const answered = { state: 'answered', refused } as const;
    driver.decide({ type: 'GrantAnswered', agentId: 'a1', session, grantNumber, answer: answered });
  };
  driver.submit([step('large', { demand: { ...NO_DEMAND, cpuMillis: 2_000 } })]);
  const waits: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    waits.push(untilGranted());
    answer([{ token: driver.leasesOf('a1')[0]!.token, reason: 'a game' }]);
    // A small one that is taken says nothing of the large one.
    answer([]);
  }
  expect(waits).toEqual([0, 500, 1_000, 2_000, 4_000]);
});
