import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filmNames, findFilms } from '../../../cli/find-films.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'furrow-films-'));
  await mkdir(join(folder, 'trip/.trash'), { recursive: true });
  await mkdir(join(folder, 'notes'));
  for (const name of [
    'b.MOV',
    'a.mkv',
    'trip/c.mp4',
    'trip/.trash/d.mp4',
    '.e.mp4',
    'notes/f.txt',
  ]) {
    await writeFile(join(folder, name), 'film');
  }
  await symlink(join(folder, 'a.mkv'), join(folder, 'link.mkv'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('films are found by their endings, in folders too; hidden ones and links are passed over', async () => {
  expect(await findFilms(folder)).toEqual(['a.mkv', 'b.MOV', 'trip/c.mp4']);
});

test('a folder without films, or that is none, is refused', async () => {
  await expect(findFilms(join(folder, 'notes'))).rejects.toThrow(/has no films/);
  await expect(findFilms(join(folder, 'nowhere'))).rejects.toThrow(/there is no folder/);
});

test('films keep their names, and their endings where two would be one', () => {
  const sources = ['a.mkv', 'b.mov', 'B.avi', 'trip/a.mkv'];
  expect(filmNames(sources, 'mp4')).toEqual(['a.mp4', 'b.mov.mp4', 'B.avi.mp4', 'trip/a.mp4']);
});
