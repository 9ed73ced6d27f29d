import { expect, test } from 'vitest';
import { judge, parityOf } from '../../../../../agent/runners/film/interlace.ts';

test.each([
  ['tt', 'tff'],
  ['bt', 'tff'],
  ['bb', 'bff'],
  ['tb', 'bff'],
  ['progressive', undefined],
  ['unknown', undefined],
  [undefined, undefined],
])('a header that says %s', (fieldOrder, parity) => {
  expect(parityOf(fieldOrder)).toBe(parity);
});

test.each([
  ['fields throughout', { tff: 95, bff: 0, all: 100 }, 'tff'],
  ['the other order', { tff: 1, bff: 290, all: 300 }, 'bff'],
  ['whole pictures', { tff: 2, bff: 1, all: 300 }, undefined],
  ['a pattern that looks like both', { tff: 41, bff: 24, all: 75 }, undefined],
  ['half of it', { tff: 150, bff: 0, all: 300 }, undefined],
  ['nothing', { tff: 0, bff: 0, all: 0 }, undefined],
])('a look at %s', (_, looks, parity) => {
  expect(judge(looks)).toBe(parity);
});
