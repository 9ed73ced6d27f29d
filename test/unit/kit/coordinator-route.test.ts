import { describe, expect, test } from 'vitest';
import { CoordinatorRoute, LEADER_DETAIL, NOT_LEADER } from '../../../kit/coordinator-route.ts';
import { FurrowError, TOO_MANY_REQUESTS } from '../../../kit/furrow-error.ts';

const away = new FurrowError('unavailable', 'FARM_UNREACHABLE', 'away');
const standsBy = (leader?: string): FurrowError =>
  new FurrowError('unavailable', NOT_LEADER, 'stands by', {
    details: leader === undefined ? {} : { [LEADER_DETAIL]: leader },
  });

/** Fails at the current address; where the next call goes, and when. */
function fail(route: CoordinatorRoute, error: FurrowError): string {
  return `${route.failed(error, route.address)} ${route.address}`;
}

describe('the way to several coordinators', () => {
  test('asks the next, and gives up when nobody is there', () => {
    const route = new CoordinatorRoute('a:1,b:1,c:1');
    expect(fail(route, away)).toBe('now b:1');
    expect(fail(route, away)).toBe('now c:1');
    expect(fail(route, away)).toMatch(/^no /);
  });

  test('goes where a standby says that the leader is, listed or not', () => {
    const route = new CoordinatorRoute('a:1,b:1');
    expect(fail(route, standsBy('far:1'))).toBe('now far:1');
    route.served('far:1');
    expect(fail(route, away)).toBe('now a:1');
  });

  test.each(['', 'far', 'far:0', 'far:65536', 'unix:/x', 'a b:1', '127.0.0.1:7400,x'])(
    'does not go where nobody can be: %s',
    (leader) => {
      const route = new CoordinatorRoute('a:1,b:1');
      expect(fail(route, standsBy(leader))).toBe('now b:1');
    },
  );

  test('waits where a standby lives and its leader is gone', () => {
    const route = new CoordinatorRoute('a:1,b:1');
    expect(fail(route, away)).toBe('now b:1');
    expect(fail(route, standsBy('a:1'))).toMatch(/^soon /);
    expect(fail(route, away)).toMatch(/^now /);
  });

  test('does not blame the one that it has turned to for a call to the other', () => {
    const route = new CoordinatorRoute('a:1,b:1');
    expect(fail(route, away)).toBe('now b:1');
    expect(route.failed(away, 'a:1')).toBe('now');
    expect(route.address).toBe('b:1');
  });

  test('takes an answer for an answer', () => {
    const route = new CoordinatorRoute('a:1,b:1');
    const refusal = new FurrowError('not-found', 'JOB_UNKNOWN', 'no job j1');
    expect(fail(route, refusal)).toBe('no a:1');
  });

  test('with one address fails at once, unless that one stands by', () => {
    const route = new CoordinatorRoute('a:1');
    expect(fail(route, away)).toBe('no a:1');
    expect(fail(route, standsBy())).toBe('soon a:1');
  });

  test('asked too much, it asks the same again after a pause', () => {
    const route = new CoordinatorRoute('a:1,b:1');
    const refusal = new FurrowError('exhausted', TOO_MANY_REQUESTS, 'too many');
    expect(refusal.retryable).toBe(true);
    expect(fail(route, refusal)).toBe('soon a:1');
  });
});
