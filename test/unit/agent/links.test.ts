/** What programs leave in place of files: links, pipes, folders that are links. Real files. */
import { execFileSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointSaver } from '../../../agent/checkpoint-saver.ts';
import { collectOutputs, ownOutput } from '../../../agent/collect-outputs.ts';
import { readInside } from '../../../agent/open-inside.ts';
import { createLog } from '../../../kit/log.ts';

let root: string;
let unit: string;
let secret: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'furrow-links-')));
  unit = join(root, 'unit');
  mkdirSync(unit);
  mkdirSync(join(root, 'secrets'));
  secret = join(root, 'secrets', 'token');
  writeFileSync(secret, 'secret');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const makePipe = (path: string): void => void execFileSync('sh', ['-c', 'mkfifo "$0"', path]);

const collect = (pattern: string, optional = false): ReturnType<typeof collectOutputs> =>
  collectOutputs(unit, [{ pattern, optional, keep: false }], new Set());

describe('an output', () => {
  test('is no link to a file elsewhere', async () => {
    symlinkSync(secret, join(unit, 'out'));
    const bad = { state: 'bad', message: expect.stringContaining('"out" is a link') };
    expect(await collect('out')).toMatchObject(bad);
    expect(await collect('*')).toMatchObject(bad);
    expect(await collect('*', true)).toEqual({ state: 'found', names: [] });
  });

  test('does not lie behind a link to a folder', async () => {
    symlinkSync(join(root, 'secrets'), join(unit, 'sub'));
    expect(await collect('sub/*')).toMatchObject({ state: 'bad' });
    writeFileSync(join(unit, 'a'), 'a');
    expect(await collect('*')).toEqual({ state: 'found', names: ['a'] });
  });

  test('is no pipe and no device', async () => {
    makePipe(join(unit, 'pipe'));
    expect(await collect('pipe')).toMatchObject({ state: 'bad' });
  });

  test('is none when the folder itself was put aside for a link', async () => {
    renameSync(unit, join(root, 'aside'));
    symlinkSync(join(root, 'secrets'), unit);
    expect(await collect('token')).toMatchObject({ state: 'bad' });
  });

  test.each([
    ['two that differ by large letters', ['Frame.png', 'frame.PNG']],
    ['two that differ by what is not seen', ['a\u200db', 'ab']],
    ['a device of Windows', ['nul.txt']],
    ['an end that Windows drops', ['a.']],
    ['a text direction turned round', ['a\u202egnp.exe']],
  ])('is refused: %s', async (_what, names) => {
    for (const name of names) writeFileSync(join(unit, name), name);
    expect(await collect('*')).toMatchObject({ state: 'bad' });
  });

  test('that is linked to a file elsewhere gets a file of its own', async () => {
    writeFileSync(join(root, 'shared'), 'made');
    linkSync(join(root, 'shared'), join(unit, 'out'));
    await ownOutput(unit, 'out');
    writeFileSync(join(root, 'shared'), 'changed later');
    expect(readFileSync(join(unit, 'out'), 'utf8')).toBe('made');
    expect(statSync(join(unit, 'out')).nlink).toBe(1);
  });
});

describe('reading inside a folder', () => {
  const read = (name: string): Promise<string> =>
    readInside(unit, name, (path) => readFile(path, 'utf8'));

  test('reads what is there', async () => {
    mkdirSync(join(unit, 'sub'));
    writeFileSync(join(unit, 'sub', 'file'), 'text');
    expect(await read('sub/file')).toBe('text');
  });

  test.each([
    ['a link', () => symlinkSync(secret, join(unit, 'file')), 'file'],
    [
      'a folder that is a link',
      () => symlinkSync(join(root, 'secrets'), join(unit, 's')),
      's/token',
    ],
    ['a folder', () => mkdirSync(join(unit, 'file')), 'file'],
    ['a pipe', () => makePipe(join(unit, 'file')), 'file'],
  ])('refuses %s, and does not wait for it', async (_what, make, name) => {
    make();
    await expect(read(name)).rejects.toMatchObject({ reason: 'NOT_A_FILE' });
  });

  test('goes on with the file that it opened when another takes its name', async () => {
    writeFileSync(join(unit, 'file'), 'text');
    const text = await readInside(unit, 'file', async (path) => {
      rmSync(join(unit, 'file'));
      symlinkSync(secret, join(unit, 'file'));
      return readFile(path, 'utf8');
    });
    expect(text).toBe('text');
  });
});

describe('a checkpoint', () => {
  const stored: string[] = [];
  const told: string[] = [];

  async function saved(): Promise<readonly string[]> {
    const offers: string[][] = [];
    stored.length = 0;
    const saver = await CheckpointSaver.start({
      directory: unit,
      store: async (path) => {
        stored.push(await readFile(path, 'utf8'));
        return { sha256: 'a'.repeat(64), sizeBytes: 1 };
      },
      offer: async (files) => {
        offers.push(files.map(({ name }) => name));
        return { state: 'saved' };
      },
      tell: (line) => told.push(line),
      log: createLog({ role: 'test', level: 'silent' }),
    });
    while (changes.length > 0) changes.shift()?.();
    await saver.saveLast();
    await saver.stop();
    return offers.flat();
  }

  const changes: (() => void)[] = [];

  test('has no links, wherever they stand', async () => {
    changes.push(() => {
      writeFileSync(join(unit, 'state'), 'mine');
      symlinkSync(secret, join(unit, 'link'));
      symlinkSync(join(root, 'secrets'), join(unit, 'folder'));
    });
    expect(await saved()).toEqual(['state']);
    expect(stored).toEqual(['mine']);
  });

  test('is not that of another folder, whose link took its place', async () => {
    changes.push(() => {
      renameSync(unit, join(root, 'aside'));
      symlinkSync(join(root, 'secrets'), unit);
    });
    expect(await saved()).toEqual([]);
    expect(stored).toEqual([]);
  });

  test('with a name that not every machine takes is told about, once', async () => {
    changes.push(() => writeFileSync(join(unit, 'con'), 'x'));
    expect(await saved()).toEqual([]);
    expect(told).toEqual([expect.stringContaining('"con" is a bad name')]);
  });
});
