import { beforeEach, describe, expect, test } from 'vitest';
import type { CreateToken } from '../../../../coordinator/domain/commands.ts';
import { FarmDriver, step } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
});

const HASH = 'a'.repeat(64);
const token = { role: 'submit', owner: '', label: '', secretHash: HASH, expiresAtMs: 0 } as const;
const create = (id: string, over: Partial<CreateToken> = {}) =>
  driver.ask({ type: 'CreateToken', id, ...token, ...over });
const join = (agentId: string, mayReplace = false, key = 'U1') =>
  driver.ask({
    type: 'JoinAgent',
    agentId,
    secretHash: HASH,
    natsPublicKey: key,
    tokenId: 't1',
    mayReplace,
  });

describe('a token', () => {
  test('is known until it is revoked, and once', () => {
    expect(create('t1')).toEqual({ kind: 'done' });
    expect(create('t1')).toMatchObject({ kind: 'refused', code: 'conflict' });
    expect(driver.ask({ type: 'RevokeToken', id: 't1' })).toEqual({ kind: 'done' });
    expect(driver.farm.tokens.size).toBe(0);
    expect(driver.ask({ type: 'RevokeToken', id: 't1' })).toMatchObject({
      reason: 'TOKEN_UNKNOWN',
    });
  });

  test.each([
    [{ owner: 'no owner' }],
    [{ role: 'admin', owner: 'mia' }],
    [{ role: 'agent', owner: 'mia' }],
    [{ label: 'two\nlines' }],
    [{ expiresAtMs: 1 }],
  ])('cannot be %j', (over) => {
    expect(create('t1', over as Partial<CreateToken>)).toMatchObject({ reason: 'TOKEN_INVALID' });
    expect(driver.farm.tokens.size).toBe(0);
  });

  test('has its use written down once an hour at most', () => {
    create('t1');
    const use = (atMs: number) => driver.ask({ type: 'UseTokens', uses: [{ id: 't1', atMs }] });
    use(10_000_000);
    use(10_000_001);
    expect(driver.farm.tokens.get('t1')?.usedAtMs).toBe(10_000_000);
    use(10_000_000 + 3_600_000);
    expect(driver.farm.tokens.get('t1')?.usedAtMs).toBe(13_600_000);
    expect(driver.facts.filter(({ type }) => type === 'TokensUsed')).toHaveLength(2);
    driver.ask({ type: 'UseTokens', uses: [{ id: 'gone', atMs: 1e12 }] });
    expect(driver.facts.filter(({ type }) => type === 'TokensUsed')).toHaveLength(2);
  });

  test('that expired long ago goes when another is made', () => {
    create('old', { expiresAtMs: driver.now.wallMs + 1 });
    driver.pass(31 * 24 * 3_600_000);
    create('new');
    expect([...driver.farm.tokens.keys()]).toEqual(['new']);
  });
});

describe('an agent', () => {
  test('joins once; whoever may do everything may replace it, and the old key is shut out', () => {
    expect(join('a1')).toEqual({ kind: 'done' });
    expect(join('a1', false, 'U2')).toMatchObject({ reason: 'AGENT_JOINED' });
    expect(join('a1', true, 'U2')).toEqual({ kind: 'done' });
    expect([...driver.farm.shutOutKeys.keys()]).toEqual(['U1']);
    expect(driver.farm.agents.get('a1')?.key?.natsPublicKey).toBe('U2');
  });

  test('that is revoked loses its units at no cost to them, and comes back by a new invitation', () => {
    driver.enrol('a1');
    join('a1');
    driver.submit([step('work')]);
    driver.place();
    expect(driver.leasesOf('a1')).toHaveLength(1);
    driver.stops = [];
    expect(driver.ask({ type: 'RevokeAgent', agent: 'a1' })).toEqual({ kind: 'done' });
    expect(driver.leasesOf('a1')).toEqual([]);
    expect(driver.farm.shutOutKeys.has('U1')).toBe(true);
    const units = driver.job(1).steps[0]!.units!;
    expect([units.failureCountOf(0), units.lossCountOf(0)]).toEqual([0, 0]);
    driver.place();
    expect(driver.leasesOf('a1')).toEqual([]);
    driver.enrol('a2');
    driver.place();
    expect(driver.leasesOf('a2')).toHaveLength(1);
    expect(join('a1')).toEqual({ kind: 'done' });
    expect(driver.farm.agents.get('a1')?.revokedAtMs).toBe(0);
    // The same key is good again.
    expect(driver.farm.shutOutKeys.has('U1')).toBe(false);
  });

  test('that is unknown cannot be revoked', () => {
    expect(driver.ask({ type: 'RevokeAgent', agent: 'nobody' })).toMatchObject({
      reason: 'AGENT_UNKNOWN',
    });
  });
});
