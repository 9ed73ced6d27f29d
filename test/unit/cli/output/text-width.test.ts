import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutText, fitText, printable, textWidth } from '../../../../cli/output/text-width.ts';

test.each([
  ['clip.mov', 8],
  ['日本', 4],
  ['e\u0301', 1],
  ['🎬', 2],
  ['👩‍👩‍👧', 2],
  ['\u001b[31mred\u001b[39m', 3],
  ['', 0],
])('%j takes %d columns', (text, columns) => {
  expect(textWidth(text)).toBe(columns);
});

test('cutting never splits a character nor passes the width', () => {
  expect(cutText('clip.mov', 8)).toBe('clip.mov');
  expect(cutText('clip.mov', 5)).toBe('clip…');
  expect(cutText('日本語', 4)).toBe('日…');
  expect(cutText('clip', 0)).toBe('');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat({ max: 40 }), (text, columns) => {
      const safe = printable(text);
      expect(textWidth(cutText(safe, columns))).toBeLessThanOrEqual(columns);
      expect(textWidth(fitText(safe, columns))).toBe(columns);
    }),
  );
});

test('foreign text cannot steer the terminal', () => {
  expect(printable('a\u001b[2Jb')).toBe('ab');
  expect(printable('a\u001b]0;title\u0007b')).toBe('ab');
  expect(printable('a\u001b]8;;http://x\u001b\\b')).toBe('ab');
  expect(printable('\u001b[31mred')).toBe('red');
  expect(printable('one\ntwo\tthree\r')).toBe('one two three');
  expect(printable('abc\u202ecba')).toBe('abccba');
  expect(printable('a\u001b')).not.toContain('\u001b');
});
