import { expect, test } from 'vitest';
import { matchesPattern } from '../../../agent/collect-outputs.ts';

test.each([
  ['piece-00001.mkv', 'piece-*', true],
  ['piece-', 'piece-*', true],
  ['sub/piece-1', '*', false],
  ['sub/piece-1', '*/piece-*', true],
  ['a+b(1).png', 'a+b(1).*', true],
  ['aXpng', 'a.png', false],
  ['film.mp4', 'film.mp4', true],
  ['my-film.mp4', 'film.mp4', false],
])('%s against %s: %s', (name, pattern, matches) => {
  expect(matchesPattern(name, pattern)).toBe(matches);
});
