import { describe, expect, it } from 'vitest';
import { parseRange } from '../../../../coordinator/http/range.ts';

describe('parseRange', () => {
  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=2-5', 2, 5],
    ['bytes=4-', 4, 9],
    ['bytes=4-100', 4, 9],
    ['bytes=-3', 7, 9],
    ['bytes=-100', 0, 9],
  ])('%s of ten bytes', (header, start, end) => {
    expect(parseRange(header, 10)).toEqual({ state: 'part', range: { start, end } });
  });

  it.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=0-1,3-4',
    'lines=1-2',
    'bytes=a-b',
  ])('takes %j for the whole', (header) => {
    expect(parseRange(header, 10)).toEqual({ state: 'whole' });
  });

  it.each(['bytes=10-', 'bytes=99-100', 'bytes=-0'])('cannot satisfy %s', (header) => {
    expect(parseRange(header, 10)).toEqual({ state: 'unsatisfiable' });
  });

  it('can satisfy nothing of an empty blob', () => {
    expect(parseRange('bytes=0-', 0)).toEqual({ state: 'unsatisfiable' });
    expect(parseRange('bytes=-1', 0)).toEqual({ state: 'unsatisfiable' });
  });
});
