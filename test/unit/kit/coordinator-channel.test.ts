import { describe, expect, test } from 'vitest';
import { CoordinatorChannel, LEADER_DETAIL, NOT_LEADER } from '../../../kit/coordinator-channel.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';

const away = new FurrowError('unavailable', 'FARM_UNREACHABLE', 'away');
const standsBy = (leader?: string): FurrowError =>
  new FurrowError('unavailable', NOT_LEADER, 'stands by', {
    details: leader === undefined ? {} : { [LEADER_DETAIL]: leader },
  });

/** Fails at the current address; where the next call goes, and when. */
function fail(channel: CoordinatorChannel, error: FurrowError): string {
  return `${channel.failed(error, channel.address)} ${channel.address}`;
}

describe('a channel to several coordinators', () => {
  test('asks the next, and gives up when nobody is there', () => {
    const channel = new CoordinatorChannel('a:1,b:1,c:1', {});
    expect(fail(channel, away)).toBe('now b:1');
    expect(fail(channel, away)).toBe('now c:1');
    expect(fail(channel, away)).toMatch(/^no /);
  });

  test('goes where a standby says that the leader is, listed or not', () => {
    const channel = new CoordinatorChannel('a:1,b:1', {});
    expect(fail(channel, standsBy('far:1'))).toBe('now far:1');
    channel.served('far:1');
    expect(fail(channel, away)).toBe('now a:1');
  });

  test('waits where a standby lives and its leader is gone', () => {
    const channel = new CoordinatorChannel('a:1,b:1', {});
    expect(fail(channel, away)).toBe('now b:1');
    expect(fail(channel, standsBy('a:1'))).toMatch(/^soon /);
    expect(fail(channel, away)).toMatch(/^now /);
  });

  test('does not blame the one that it has turned to for a call to the other', () => {
    const channel = new CoordinatorChannel('a:1,b:1', {});
    expect(fail(channel, away)).toBe('now b:1');
    expect(channel.failed(away, 'a:1')).toBe('now');
    expect(channel.address).toBe('b:1');
  });

  test('takes an answer for an answer', () => {
    const channel = new CoordinatorChannel('a:1,b:1', {});
    const refusal = new FurrowError('not-found', 'JOB_UNKNOWN', 'no job j1');
    expect(fail(channel, refusal)).toBe('no a:1');
  });

  test('with one address fails at once, unless that one stands by', () => {
    const channel = new CoordinatorChannel('a:1', {});
    expect(fail(channel, away)).toBe('no a:1');
    expect(fail(channel, standsBy())).toBe('soon a:1');
  });
});
