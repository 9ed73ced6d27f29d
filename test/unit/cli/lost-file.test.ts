import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { lostFile } from '../../../cli/lost-file.ts';

const GONE = '/nowhere/a.png';

test('a file that is gone by the time it is read is named', async () => {
  const error: unknown = await readFile(GONE).catch((fault: unknown) => fault);
  const file = { path: GONE, name: 'a.png', sizeBytes: 1 };
  expect(lostFile(error, [file])).toMatchObject({
    reason: 'FILE_MISSING',
    message: `'${GONE}' is gone since it was looked at: nothing was submitted`,
  });
  // What is not about the user's files stays what it is.
  expect(lostFile(error, [])).toBe(error);
});
