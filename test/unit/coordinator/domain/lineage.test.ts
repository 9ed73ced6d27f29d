import { describe, expect, test } from 'vitest';
import { placeOf, type ReignRecord } from '../../../../coordinator/domain/lineage.ts';
import { countOf, FarmDriver, LEASE_TTL_MS, step } from '../../../support/farm-driver.ts';

const reign = (epoch: number, id: string, firstSequence: number): ReignRecord => {
  return { epoch, id, firstSequence, acceptsLoss: false };
};

describe('a sighting', () => {
  const reigns = [reign(3, 'c', 10), reign(5, 'e', 20)];
  const farm = { epoch: 5, reigns };
  const seen = (epoch: number, reignId: string, sequence: number) => ({ epoch, reignId, sequence });

  test.each([
    ['in its reign', seen(3, 'c', 19), 'here'],
    ['in the last reign', seen(5, 'e', 30), 'here'],
    ['of a version that knew no ids', seen(3, '', 12), 'here'],
    ['beyond the end', seen(5, 'e', 31), 'absent'],
    ['where another reign wrote', seen(3, 'c', 20), 'absent'],
    ['where a reign of the same number wrote', seen(5, 'x', 21), 'absent'],
    ['of an epoch that is not here', seen(4, 'd', 19), 'absent'],
    ['from before the lineage', seen(2, 'b', 9), 'untold'],
    ['of a later epoch at an earlier sequence', seen(4, 'd', 9), 'absent'],
  ])('%s', (_, sighting, place) => {
    expect(placeOf(farm, 30, sighting)).toBe(place);
  });

  test('says nothing to a farm whose snapshot told of no reigns', () => {
    expect(placeOf({ epoch: 5, reigns: [] }, 30, seen(5, 'e', 30))).toBe('untold');
    expect(placeOf({ epoch: 5, reigns: [] }, 30, seen(6, 'f', 30))).toBe('absent');
  });

  test('is given up by a later reign that accepted the loss', () => {
    const accepted = { epoch: 6, reigns: [...reigns, { ...reign(6, 'f', 25), acceptsLoss: true }] };
    expect(placeOf(accepted, 30, seen(5, 'x', 40))).toBe('given-up');
    expect(placeOf(accepted, 30, seen(5, 'e', 26))).toBe('given-up');
    expect(placeOf(accepted, 30, seen(5, 'e', 24))).toBe('here');
    expect(placeOf(accepted, 30, seen(6, 'y', 30))).toBe('absent');
  });
});

describe('a loss that a person accepted', () => {
  test('revokes every lease: no earlier token counts, and the units are queued first', () => {
    const driver = new FarmDriver();
    driver.enrol('a1');
    const { number } = driver.submit([step('work', { parameters: countOf(3) })]);
    driver.place();
    driver.beatHolding('a1');
    const leases = driver.leasesOf('a1');
    expect(leases.length).toBeGreaterThan(0);
    driver.restart(true);
    expect(driver.farm.leases.size).toBe(0);
    expect(driver.job(number).steps[0]?.units?.counts.queued).toBe(3);
    expect(driver.report(leases).every(({ kind }) => kind === 'stale')).toBe(true);
    // Its agent still runs them: they stay booked until they have been stopped.
    driver.enrol('a1');
    expect(driver.stops.flatMap(({ tokens }) => tokens)).toEqual(leases.map(({ token }) => token));
    driver.beat('a1', { inventory: [] });
    driver.runAll();
    expect(driver.job(number).end?.state).toBe('succeeded');
  });

  test('revokes what had lapsed too, and what a retry would queue again', () => {
    const driver = new FarmDriver();
    driver.enrol('a1');
    const { number } = driver.submit([step('work')]);
    driver.place();
    driver.beatHolding('a1');
    const leases = driver.leasesOf('a1');
    driver.pass(LEASE_TTL_MS);
    expect(driver.farm.lapsed.size).toBe(1);
    driver.restart(true);
    expect(driver.farm.lapsed.size).toBe(0);
    expect(driver.report(leases)).toEqual([{ kind: 'stale' }]);
    driver.ask({ type: 'CancelJob', job: number, reason: 'by hand' });
    driver.ask({ type: 'RetryJob', job: number, reason: '' });
    expect(driver.report(leases)).toEqual([{ kind: 'stale' }]);
  });

  test('leaves the leases alone when nothing was lost', () => {
    const driver = new FarmDriver();
    driver.enrol('a1');
    driver.submit([step('work')]);
    driver.place();
    const leases = driver.leasesOf('a1');
    driver.restart();
    expect(driver.report(leases)).toEqual([{ kind: 'accepted' }]);
  });
});
