import { describe, expect, it } from 'vitest';
import { farmAccess } from '../../../coordinator/access.ts';
import {
  joinAgent,
  revokeAgent,
  type Role,
  ROLES,
} from '../../../coordinator/domain/credentials.ts';
import { enlistAgent } from '../../../coordinator/domain/lease-book.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import { ALLOWED, type Action } from '../../../coordinator/doors.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { formatSecret, hashOfSecret, newSecret } from '../../../kit/secrets.ts';

const FARM_TOKEN = newSecret();
const SECRET = newSecret();
const ACTIONS = Object.keys(ALLOWED) as Action[];

function farmWithTokens(expiresAtMs = 0) {
  const farm = emptyFarm();
  for (const role of ROLES) {
    const times = { createdAtMs: 1, expiresAtMs, usedAtMs: 0 };
    const said = { id: role, role, owner: '', label: '', secretHash: hashOfSecret(SECRET) };
    farm.tokens.set(role, { ...said, ...times });
  }
  const fact = { secretHash: hashOfSecret(SECRET), natsPublicKey: 'U1', tokenId: '', atMs: 1 };
  joinAgent(farm, enlistAgent(farm, 'den-1'), { type: 'AgentJoined', agentId: 'den-1', ...fact });
  return farm;
}

const nothingNew = (): Promise<void> => Promise.resolve();
const tokenOf = (role: Role): string => formatSecret('token', role, SECRET);
const KEY = formatSecret('agent-key', 'den-1', SECRET);

describe('who may do what', () => {
  const farm = farmWithTokens();
  const used: string[] = [];
  const options = { farmToken: FARM_TOKEN, farm, wallMs: () => 10, reachEnd: nothingNew };
  const access = farmAccess({ ...options, used: (id) => used.push(id) });
  const decide = (token: string, action: Action) =>
    access.authorise({ authorization: `Bearer ${token}` }, action);

  it.each(ACTIONS)('%s: each role as the table says, and nobody without one', (action) => {
    for (const role of ROLES) {
      const { state } = decide(tokenOf(role), action);
      expect([role, state]).toEqual([role, ALLOWED[action].includes(role) ? 'allowed' : 'refused']);
    }
    const { state } = decide(KEY, action);
    expect(state).toBe(ALLOWED[action].includes('agent-key') ? 'allowed' : 'refused');
    expect(decide(FARM_TOKEN, action).state).toBe('allowed');
    expect(access.authorise({ authorization: undefined }, action)).toMatchObject({
      state: 'refused',
      code: 'unauthenticated',
    });
  });

  it('names who is asking, and notes that the token was used', () => {
    used.length = 0;
    expect(decide(tokenOf('submit'), 'write-jobs')).toMatchObject({
      principal: { caller: 'submit', tokenId: 'submit' },
    });
    expect(used).toEqual(['submit']);
    expect(decide(KEY, 'serve-as-agent')).toMatchObject({ principal: { agentId: 'den-1' } });
  });

  it.each([
    ['', 'TOKEN_REQUIRED'],
    [`${FARM_TOKEN} ${FARM_TOKEN}`, 'TOKEN_REQUIRED'],
    ['wrong', 'TOKEN_WRONG'],
    [`${FARM_TOKEN}1`, 'TOKEN_WRONG'],
    [formatSecret('token', 'admin', newSecret()), 'TOKEN_WRONG'],
    [formatSecret('token', 'nobody', SECRET), 'TOKEN_WRONG'],
    [formatSecret('agent-key', 'den-2', SECRET), 'AGENT_NOT_JOINED'],
    [formatSecret('agent-key', 'den-1', newSecret()), 'AGENT_NOT_JOINED'],
    // A token's secret is none of an agent's, and the reverse.
    [formatSecret('token', 'den-1', SECRET), 'TOKEN_WRONG'],
    [SECRET, 'TOKEN_WRONG'],
  ])('keeps %j out', (token, reason) => {
    expect(decide(token, 'read-jobs')).toMatchObject({ code: 'unauthenticated', reason });
  });

  it.each([undefined, '', FARM_TOKEN, `Basic ${FARM_TOKEN}`])(
    'wants a bearer, not %j',
    (authorization) => {
      expect(access.authorise({ authorization }, 'read-jobs')).toMatchObject({
        reason: 'TOKEN_REQUIRED',
      });
    },
  );
});

it('an expired token opens nothing', () => {
  const options = {
    farmToken: FARM_TOKEN,
    farm: farmWithTokens(100),
    wallMs: () => 100,
    reachEnd: nothingNew,
  };
  const authorization = `Bearer ${tokenOf('admin')}`;
  expect(farmAccess(options).authorise({ authorization }, 'read-farm')).toMatchObject({
    reason: 'TOKEN_EXPIRED',
  });
});

it('a revoked agent is told so, and whoever guesses its name is not', () => {
  const farm = farmWithTokens();
  const options = { farmToken: FARM_TOKEN, farm, wallMs: () => 1, reachEnd: nothingNew };
  const access = farmAccess(options);
  revokeAgent(farm, enlistAgent(farm, 'den-1'), {
    type: 'AgentRevoked',
    agentId: 'den-1',
    atMs: 2,
  });
  const decide = (token: string) =>
    access.authorise({ authorization: `Bearer ${token}` }, 'serve-as-agent');
  expect(decide(KEY)).toMatchObject({ reason: 'AGENT_REVOKED' });
  const guess = formatSecret('agent-key', 'den-1', newSecret());
  expect(decide(guess)).toMatchObject({ reason: 'AGENT_NOT_JOINED' });
});

describe('nobody is turned away as unknown before the journal is read to its end', () => {
  const NEW = formatSecret('agent-key', 'den-2', SECRET);

  it.each([
    ['an agent that has joined', NEW, 'serve-as-agent'],
    ['an agent that has joined anew', formatSecret('agent-key', 'den-1', SECRET), 'serve-as-agent'],
    ['a token that was given', tokenOf('admin'), 'read-farm'],
  ] as const)('%s', async (_, token, action) => {
    const farm = emptyFarm();
    const known = farmWithTokens();
    const den = known.agents.get('den-1')!;
    const readOn = (): Promise<void> => {
      for (const [id, given] of known.tokens) farm.tokens.set(id, given);
      for (const id of ['den-1', 'den-2']) farm.agents.set(id, den);
      return Promise.resolve();
    };
    farm.agents.set('den-1', { ...den, key: { ...den.key!, secretHash: hashOfSecret('old') } });
    const access = farmAccess({ farmToken: FARM_TOKEN, farm, wallMs: () => 1, reachEnd: readOn });
    const credentials = { authorization: `Bearer ${token}` };
    expect(access.authorise(credentials, action)).toMatchObject({ isUnknown: true });
    expect(await access.authoriseSurely(credentials, action)).toMatchObject({ state: 'allowed' });
  });

  it('and where that cannot be done, nothing is said of whether he is known', async () => {
    const behind = new FurrowError('unavailable', 'BEHIND', 'this coordinator is behind');
    const reachEnd = (): Promise<void> => Promise.reject(behind);
    const options = { farmToken: FARM_TOKEN, farm: emptyFarm(), wallMs: () => 1, reachEnd };
    const asked = farmAccess(options).authoriseSurely(
      { authorization: `Bearer ${NEW}` },
      'read-farm',
    );
    await expect(asked).rejects.toBe(behind);
  });

  it.each([undefined, 'nonsense', newSecret(), formatSecret('token', 'admin', SECRET)])(
    'what is known, or can never be, is not looked for: %#',
    async (token) => {
      const reachEnd = (): Promise<void> => Promise.reject(new Error('it was looked for'));
      const options = { farmToken: FARM_TOKEN, farm: farmWithTokens(), wallMs: () => 1, reachEnd };
      const authorization = token === undefined ? undefined : `Bearer ${token}`;
      await farmAccess(options).authoriseSurely({ authorization }, 'read-farm');
    },
  );
});
