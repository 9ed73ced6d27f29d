import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findPictures } from '../../../cli/picture-files.ts';

let folder: string;
const put = (name: string, text = 'x'): void => writeFileSync(join(folder, name), text);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-pictures-'));
  mkdirSync(join(folder, 'deep/er'), { recursive: true });
  mkdirSync(join(folder, '.hidden'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('pictures of a folder by name, however deep; the rest is counted', async () => {
  for (const name of ['b.JPG', 'a.png', 'deep/er/c.webp', 'notes.txt', '.hidden/d.png']) put(name);
  put('empty.tif', '');
  symlinkSync('a.png', join(folder, 'linked.png'));
  // Composed, as all names on the farm are.
  put('cafe\u0301.png');
  const { pictures, others } = await findPictures([folder]);
  expect(pictures.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
    ['a.png', 1],
    ['b.JPG', 1],
    ['caf\u00e9.png', 1],
    ['deep/er/c.webp', 1],
    ['empty.tif', 0],
    ['linked.png', 1],
  ]);
  expect(others).toBe(1);
});

test('what is named is taken whatever it is called; folders tell themselves apart', async () => {
  put('odd.dat');
  put('deep/a.png');
  put('a.png');
  const { pictures } = await findPictures([join(folder, 'odd.dat'), join(folder, 'deep'), folder]);
  const base = folder.slice(folder.lastIndexOf('/') + 1);
  expect(pictures.map(({ name }) => name)).toEqual([
    'odd.dat',
    'deep/a.png',
    `${base}/a.png`,
    `${base}/deep/a.png`,
  ]);
});

test('what cannot be is said', async () => {
  await expect(findPictures([join(folder, 'none')])).rejects.toMatchObject({
    reason: 'FILE_MISSING',
  });
  await expect(findPictures([folder])).rejects.toMatchObject({ reason: 'NO_PICTURES' });
  symlinkSync('gone.png', join(folder, 'link.png'));
  await expect(findPictures([folder])).rejects.toMatchObject({
    message: `'${join(folder, 'link.png')}' is a link to 'gone.png', which is not there: remove it, or mend it`,
  });
  rmSync(join(folder, 'link.png'));
  put('bad\u202ename.png');
  await expect(findPictures([folder])).rejects.toMatchObject({ reason: 'FILE_NAME_UNSAFE' });
});
