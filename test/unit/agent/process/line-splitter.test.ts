import { expect, test } from 'vitest';
import { LineSplitter } from '../../../../agent/process/line-splitter.ts';

function split(...chunks: (string | Uint8Array)[]): readonly string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  return lines;
}

test('lines end with a line feed, a carriage return or both, wherever chunks are cut', () => {
  expect(split('a\nb\r', '\nc\rd', 'e\n\n', 'last')).toEqual(['a', 'b', 'c', 'de', 'last']);
});

test('a character that is cut by a chunk stays whole', () => {
  const bytes = Buffer.from('Zürich\n');
  expect(split(bytes.subarray(0, 2), bytes.subarray(2))).toEqual(['Zürich']);
});

test('a line that never ends takes bounded memory', () => {
  const [line, next] = split('x'.repeat(6_000), 'x'.repeat(6_000), '\nnext');
  expect(line).toHaveLength(8_192);
  expect(next).toBe('next');
});
