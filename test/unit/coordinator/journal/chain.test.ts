import { describe, expect, test } from 'vitest';
import { EMPTY_TAIL, follow, type Tail } from '../../../../coordinator/journal/chain.ts';
import type { StoredCommit } from '../../../../coordinator/journal/commit-codec.ts';

const TAIL: Tail = { farmId: 'f', epoch: 2, reignId: '07', number: 5, sequence: 5, hash: 'aa' };
const NEXT: StoredCommit = {
  farmId: 'f',
  epoch: 2,
  writerId: Uint8Array.of(1),
  number: 6,
  sequence: 6,
  previousHash: 'aa',
  hash: 'bb',
  atMs: 1,
  facts: [],
};

describe('the chain', () => {
  test('goes on with the commit that follows', () => {
    const tail = { farmId: 'f', epoch: 2, reignId: '01', number: 6, sequence: 6, hash: 'bb' };
    expect(follow(TAIL, NEXT)).toEqual(tail);
    expect(follow(TAIL, { ...NEXT, epoch: 9 })).toEqual({ ...tail, epoch: 9 });
  });

  test('begins with commit 1 at sequence 1', () => {
    const first = { ...NEXT, number: 1, sequence: 1, previousHash: '' };
    expect(follow(EMPTY_TAIL, first)).toMatchObject({ number: 1, sequence: 1, farmId: 'f' });
    expect(() => follow(EMPTY_TAIL, NEXT)).toThrow('damaged at sequence 1');
  });

  test.each<[string, Partial<StoredCommit>]>([
    ['a message is missing', { sequence: 7 }],
    ['a number is missing', { number: 7 }],
    ['a number comes twice', { number: 5 }],
    ['the commit before was another', { previousHash: 'cc' }],
    ['it is of another farm', { farmId: 'g' }],
    ['the epoch falls', { epoch: 1 }],
  ])('%s: damage', (_, change) => {
    expect(() => follow(TAIL, { ...NEXT, ...change })).toThrow(
      expect.objectContaining({ code: 'data-loss', reason: 'JOURNAL_DAMAGED' }),
    );
  });
});
