import { describe, expect, test } from 'vitest';
import {
  faultOfName,
  isSha256,
  isStepName,
  matchesPattern,
} from '../../../../coordinator/domain/names.ts';

describe('a file name', () => {
  test.each(['film.mp4', 'a/b/c.txt', 'ünïcode ☂.png', '..hidden', 'a..b', '-rf', '😀'])(
    '%j is fine',
    (name) => {
      expect(faultOfName(name)).toBeUndefined();
    },
  );

  test.each([
    ['', 'empty'],
    ['../x', '..'],
    ['a/../b', '..'],
    ['a/..', '..'],
    ['/etc/passwd', 'absolute'],
    ['a//b', 'empty part'],
    ['a/', 'empty part'],
    ['./a', 'empty part'],
    ['a\\b', 'backslash'],
    ['a\nb', 'control'],
    ['a\u0000', 'control'],
    ['a\u0085b', 'control'],
    ['a\u2028b', 'control'],
    ['\ud800', 'Unicode'],
    ['x'.repeat(256), '255 bytes'],
    ['é'.repeat(128), '255 bytes'],
    [`${'a/'.repeat(600)}b`, '1024'],
  ])('%j is refused: %s', (name, why) => {
    expect(faultOfName(name)).toContain(why);
  });
});

describe('a pattern', () => {
  test.each([
    ['piece-1', 'piece-*', true],
    ['piece-', 'piece-*', true],
    ['piece', 'piece-*', false],
    ['a/b', '*', false],
    ['a/b', 'a/*', true],
    ['a/b/c', 'a/*', false],
    ['a/b/c', '*/*/*', true],
    ['film.mp4', '*.mp4', true],
    ['film.mp4.part', '*.mp4', false],
    ['abab', 'ab*ab', true],
    ['aba', 'ab*ba', false],
    ['a-b-c', 'a*b*c', true],
    ['a-c-b', 'a*b*c', false],
    ['exact', 'exact', true],
    ['exactly', 'exact', false],
    ['a+b', 'a+b', true],
    ['aab', 'a+b', false],
    ['x', '**', true],
  ])('%j against %j: %s', (name, pattern, matches) => {
    expect(matchesPattern(name, pattern)).toBe(matches);
  });
});

test.each([
  ['encode', true],
  ['a-1_B', true],
  ['', false],
  ['-a', false],
  ['a b', false],
  ['a/b', false],
  ['x'.repeat(65), false],
])('step name %j: %s', (name, good) => {
  expect(isStepName(name)).toBe(good);
});

test('a digest has 64 lower-case hexadecimal digits', () => {
  expect(isSha256('a'.repeat(64))).toBe(true);
  expect(isSha256('A'.repeat(64))).toBe(false);
  expect(isSha256('a'.repeat(63))).toBe(false);
});
