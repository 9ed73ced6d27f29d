import { expect, test } from 'vitest';
import { lineOf, type ListedFile, readFileList, readSlice } from '../../../kit/file-list.ts';

const file = (name: string, sizeBytes = 7): ListedFile => ({
  name,
  sha256: 'ab'.repeat(32),
  sizeBytes,
});
const FILES = [
  file('a.png', 0),
  file('photos/zwei Wörter.jpg'),
  file('猫/a b  c.png', 2 ** 50),
  file('d'),
];
const TEXT = Buffer.from(FILES.map(lineOf).join(''));

/** The bytes in parts of this length. */
async function* inParts(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function readAll(text: Uint8Array | string, length = 5): Promise<ListedFile[]> {
  const found: ListedFile[] = [];
  for await (const files of readFileList(inParts(Buffer.from(text), length))) found.push(...files);
  return found;
}

test.each([1, 2, 64, 1_000])('is read as it was written, in parts of %i bytes', async (length) => {
  expect(await readAll(TEXT, length)).toEqual(FILES);
  for (let from = 0; from < FILES.length; from += 1) {
    for (let to = from + 1; to <= FILES.length; to += 1) {
      expect(await readSlice(inParts(TEXT, length), { from, to })).toEqual(FILES.slice(from, to));
    }
  }
});

test('an empty list has no files', async () => {
  expect(await readAll('')).toEqual([]);
});

const good = lineOf(file('good'));
test.each([
  ['a line that is none', `${good}\n`, 'line 2 of the list of files is not'],
  ['capital digits', `${'AB'.repeat(32)} 1 x\n`, 'line 1 of the list of files is not'],
  ['a length with a sign', `${'ab'.repeat(32)} -1 x\n`, 'line 1'],
  ['a length beyond reason', `${'ab'.repeat(32)} 9999999999999999 x\n`, 'has a length of'],
  ['no name', `${'ab'.repeat(32)} 1 \n`, 'line 1'],
  [
    'a name that leaves its folder',
    good + lineOf(file('../x')),
    'line 2 of the list of files has the name "../x"',
  ],
  ['a name with a control character', lineOf(file('a\u0007b')), 'line 1'],
  ['a carriage return', `${'ab'.repeat(32)} 1 x\r\n`, 'line 1'],
  [
    'no line feed at its end',
    good + good.trimEnd(),
    'line 2 of the list of files has no line feed',
  ],
  ['a line without end', 'x'.repeat(5_000), 'line 1 of the list of files is too long'],
  ['a byte order mark', `\ufeff${good}`, 'line 1 of the list of files is not'],
])('refuses %s', async (_what, text, message) => {
  await expect(readAll(text)).rejects.toMatchObject({
    reason: 'LIST_INVALID',
    message: expect.stringContaining(message) as string,
  });
});

test('refuses what is not UTF-8', async () => {
  const bytes = Buffer.concat([
    Buffer.from(good),
    Buffer.from(good.replace('good', '\xff'), 'latin1'),
  ]);
  await expect(readAll(bytes)).rejects.toMatchObject({ reason: 'LIST_INVALID' });
});

test('a part that is not there is an error, not fewer files', async () => {
  const reading = readSlice(inParts(TEXT, 7), { from: 3, to: 5 });
  await expect(reading).rejects.toMatchObject({ reason: 'LIST_TOO_SHORT' });
});
