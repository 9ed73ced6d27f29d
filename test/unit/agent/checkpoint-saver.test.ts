/** Real files in a real directory; store and coordinator in the test's hands. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fillCheckpoint } from '../../../agent/attempt-checkpoint.ts';
import { CheckpointSaver, type CheckpointVerdict } from '../../../agent/checkpoint-saver.ts';
import { createLog } from '../../../kit/log.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';

// Looks come once a second, and what they look at must have been quiet for two.
vi.setConfig({ testTimeout: 30_000 });
const WAIT = { timeout: 20_000, interval: 50 };

let folder: string;
let saver: CheckpointSaver;
let offers: (readonly string[])[];
let stores: string[];
let verdicts: CheckpointVerdict[];
let whileStoring: () => void;
let told: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-checkpoint-'));
  [offers, stores, verdicts, told] = [[], [], [], []];
  whileStoring = () => undefined;
  saver = await start();
});

afterEach(async () => {
  await saver.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(): Promise<CheckpointSaver> {
  return CheckpointSaver.start({
    directory: folder,
    store: async (path) => {
      const content = readFileSync(path, 'utf8');
      stores.push(content);
      whileStoring();
      return { sha256: content.padEnd(64, '0').slice(0, 64), sizeBytes: content.length };
    },
    offer: async (files) => {
      offers.push(files.map(({ name, sha256 }) => `${name} ${sha256.slice(0, 3)}`));
      return verdicts.shift() ?? { state: 'saved' };
    },
    tell: (line) => told.push(line),
    log: createLog({ role: 'test', level: 'silent' }),
  });
}

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const offered = (count: number) => vi.waitFor(() => expect(offers).toHaveLength(count), WAIT);

test('what has changed and is quiet is saved; what is written aside is not', async () => {
  mkdirSync(join(folder, 'sub'));
  write('sub/state', 'one');
  write('half.tmp', 'xxx');
  await offered(1);
  expect(offers).toEqual([['sub/state one']]);
  // Each save is a fact in the journal: the next has to wait, and the last must not.
  write('other', 'two');
  await sleep(4_000);
  expect(offers).toHaveLength(1);
  renameSync(join(folder, 'half.tmp'), join(folder, 'half'));
  await saver.saveLast();
  expect(offers[1]).toEqual(['half xxx', 'other two', 'sub/state one']);
  // What was stored before is not stored again.
  expect(stores.toSorted()).toEqual(['one', 'two', 'xxx']);
  await saver.saveLast();
  expect(offers).toHaveLength(2);
});

test('what changes while it is saved is not offered, but saved at a later look', async () => {
  write('state', 'one');
  whileStoring = () => {
    whileStoring = () => undefined;
    write('state', 'two');
  };
  await offered(1);
  expect(offers).toEqual([['state two']]);
});

test('it is offered again when no answer comes, and stored again when it is missing', async () => {
  verdicts = [
    { state: 'again', missing: false },
    { state: 'again', missing: true },
  ];
  write('state', 'one');
  await offered(3);
  expect(stores).toEqual(['one', 'one']);
});

test('nothing more is saved of an attempt that is not wanted', async () => {
  verdicts = [{ state: 'stale' }];
  write('state', 'one');
  await offered(1);
  write('state', 'two');
  await saver.saveLast();
  expect(offers).toHaveLength(1);
});

test('a program may delete its directory', async () => {
  rmSync(folder, { recursive: true });
  await sleep(2_500);
  await saver.saveLast();
  mkdirSync(folder);
  write('state', 'one');
  await saver.saveLast();
  expect(offers).toEqual([['state one']]);
});

test('a refusal is told to the user, once', async () => {
  verdicts = [{ state: 'refused', why: 'too many files' }];
  write('state', 'one');
  await vi.waitFor(() => expect(told).toHaveLength(1), WAIT);
  await sleep(2_500);
  expect(offers).toHaveLength(1);
  expect(told).toEqual(['furrow: the checkpoint is not saved: too many files']);
});

test('what an attempt begins with is writable, and not saved again', async () => {
  await saver.stop();
  const unit = join(folder, 'unit');
  mkdirSync(unit);
  const place = async (files: readonly File[], into: string): Promise<void> => {
    for (const { name } of files) {
      mkdirSync(join(into, 'deep'), { recursive: true });
      writeFileSync(join(into, name), `of ${name}`, { mode: 0o444 });
    }
  };
  const files = ['a', 'deep/b'].map((name) => ({ name, sha256: 'a'.repeat(64), sizeBytes: 4 }));
  const directory = await fillCheckpoint(unit, files, place);
  expect(readFileSync(join(directory, 'deep', 'b'), 'utf8')).toBe('of deep/b');
  folder = directory;
  saver = await start();
  await saver.saveLast();
  expect(offers).toEqual([]);
  write('a', 'on');
  await saver.saveLast();
  expect(offers).toHaveLength(1);
});

test('a checkpoint that would leave its directory is refused', async () => {
  const files = [{ name: '../x', sha256: 'a'.repeat(64), sizeBytes: 4 }];
  await expect(fillCheckpoint(folder, files, async () => undefined)).rejects.toMatchObject({
    reason: 'UNSAFE_NAME',
  });
});
