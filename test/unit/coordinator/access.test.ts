import { describe, expect, it } from 'vitest';
import { tokenAccess } from '../../../coordinator/access.ts';

describe('tokenAccess', () => {
  const access = tokenAccess('right');
  const decide = (authorization: string | undefined) =>
    access.authorise({ authorization }, 'read-jobs');

  it('lets the token in', () => {
    expect(decide('Bearer right')).toEqual({ state: 'allowed' });
  });

  it.each([
    [undefined, 'TOKEN_REQUIRED'],
    ['', 'TOKEN_REQUIRED'],
    ['right', 'TOKEN_REQUIRED'],
    ['Basic right', 'TOKEN_REQUIRED'],
    ['Bearer right right', 'TOKEN_REQUIRED'],
    ['Bearer wrong', 'TOKEN_WRONG'],
    ['Bearer right1', 'TOKEN_WRONG'],
  ])('keeps %j out', (authorization, reason) => {
    expect(decide(authorization)).toMatchObject({
      state: 'refused',
      code: 'unauthenticated',
      reason,
    });
  });
});
