import { beforeEach, describe, expect, test } from 'vitest';
import type { GrantAnswered } from '../../../../coordinator/domain/commands.ts';
import { countOf, FarmDriver, held, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('work', { parameters: countOf(4) })]);
  driver.place();
});

function answer(how: GrantAnswered['answer']): void {
  const session = 'a1-session-1';
  driver.ask({ type: 'GrantAnswered', agentId: 'a1', session, grantNumber: 1, answer: how });
}

describe('the answer to a grant', () => {
  test('that takes all changes nothing', () => {
    const facts = driver.facts.length;
    answer({ state: 'answered', refused: [] });
    expect(driver.facts).toHaveLength(facts);
  });

  test('that refuses some frees those and asks again only after a pause', () => {
    const [lease] = driver.leasesOf('a1');
    answer({ state: 'answered', refused: [{ token: lease!.token, reason: 'RAM is short' }] });
    expect(driver.farm.leases.size).toBe(3);
    expect(driver.place()).toEqual([]);
    driver.pass(500);
    expect(driver.place()).toMatchObject([{ units: [lease!.unit], grantNumber: 2 }]);
  });

  test('that nobody gives because nobody listens frees all', () => {
    answer({ state: 'no-responders' });
    expect(driver.farm.leases.size).toBe(0);
  });

  test('that is missing frees nothing: unknown is not free', () => {
    answer({ state: 'unknown' });
    expect(driver.farm.leases.size).toBe(4);
    expect(driver.farm.agents.get('a1')?.booking.cpuMillis).toBe(4_000);
  });

  test('that refuses what is not that agent’s changes nothing', () => {
    driver.enrol('a2');
    const [lease] = driver.leasesOf('a1');
    driver.ask({
      type: 'GrantAnswered',
      agentId: 'a2',
      session: 'a2-session-1',
      grantNumber: 1,
      answer: { state: 'answered', refused: [{ token: lease!.token, reason: 'mine' }] },
    });
    expect(driver.farm.leases.size).toBe(4);
  });

  test('that keeps failing brings growing pauses, and one success ends them', () => {
    const pauses: number[] = [];
    for (let failure = 0; failure < 4; failure += 1) {
      answer({ state: 'unknown' });
      const until = driver.liveness.agents.get('a1')?.grantsPausedUntilMs ?? 0;
      pauses.push(until - driver.nowMs);
    }
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000]);
    answer({ state: 'answered', refused: [] });
    expect(driver.liveness.agents.get('a1')?.grantsPausedUntilMs).toBe(0);
  });
});

test('a released grant that the agent had taken after all stays booked while it is listed', () => {
  const leases = driver.leasesOf('a1');
  driver.pass(15_000);
  expect(driver.farm.leases.size).toBe(0);
  // Its beat crossed the expiry: it did handle the grant.
  const inventory = leases.map(({ token }) => held(token, 'running'));
  driver.beat('a1', { inventory, grantsHandled: 1 });
  expect(driver.farm.leases.size).toBe(4);
  expect(driver.place()).toEqual([]);
});
