/** Lists in a real store on disk. */
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { FileListSpace, StepSpec } from '../../../coordinator/domain/task.ts';
import { FileLists } from '../../../coordinator/file-lists.ts';
import { lineOf, type ListedFile } from '../../../kit/file-list.ts';
import { content, openStore, temporaryFolder } from '../../support/blobs.ts';
import { step } from '../../support/farm-driver.ts';

const fileOf = (name: string): ListedFile => ({ name, ...content(Buffer.from(`of ${name}`)).blob });

async function bench(names: readonly string[], stored: readonly string[] = names) {
  const store = await openStore(await temporaryFolder());
  const put = async (bytes: Buffer) => {
    const { blob } = content(bytes);
    await store.receive(blob, Readable.from([bytes]), 'client');
    return blob;
  };
  for (const name of stored) await put(Buffer.from(`of ${name}`));
  const files = names.map(fileOf);
  const text = files.map(lineOf).join('');
  const list = { name: 'list', ...(await put(Buffer.from(text))) };
  const filesBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const space: FileListSpace = { list, perUnit: 3, count: files.length, filesBytes };
  const lists = new FileLists(store);
  const faultOf = (over: Partial<FileListSpace> = {}, rest: Partial<StepSpec> = {}) =>
    lists.faultOf([stepOver({ ...space, ...over }, rest)], []);
  return { store, lists, files, space, list, faultOf };
}

function stepOver(value: FileListSpace, rest: Partial<StepSpec> = {}): StepSpec {
  return step('look', { parameters: { kind: { $case: 'fileList', value } }, ...rest });
}

const names = Array.from({ length: 2_000 }, (_, n) => `photos/${n}.png`);

test('a list whose files are all stored is right, and its files are pinned', async () => {
  const some = names.slice(0, 40);
  const { store, faultOf, list, lists } = await bench(some);
  const asked: string[] = [];
  const findMissing = store.findMissing.bind(store);
  store.findMissing = (hashes) => {
    asked.push(...hashes);
    return findMissing(hashes);
  };
  expect(await faultOf()).toBeUndefined();
  expect(new Set(asked)).toEqual(new Set(some.map((name) => fileOf(name).sha256)));
  expect(await lists.missingIn([list])).toEqual([]);
});

test('files that are not stored are named, with how many', async () => {
  const { faultOf, lists, list } = await bench(['a', 'b', 'c', 'd', 'e'], ['b']);
  expect(await faultOf()).toEqual({
    reason: 'BLOB_MISSING',
    message:
      'step look: 4 of the 5 files of its list are not stored: "a", "c", "d" …: upload them, then submit again',
  });
  expect(await lists.missingIn([list])).toEqual(
    ['a', 'c', 'd', 'e'].map((name) => fileOf(name).sha256),
  );
});

test('a unit takes its part, wherever it stands in the list', async () => {
  const { lists, files, space, list } = await bench(names, []);
  for (const perUnit of [1, 3, 255, 256, 257, 700, 10_000]) {
    const parts = { ...space, perUnit };
    for (const unit of [0, 1, 2, Math.ceil(names.length / perUnit) - 1]) {
      const wanted = files.slice(unit * perUnit, (unit + 1) * perUnit);
      const found = await lists.partOf(list, parts, unit);
      expect([...found]).toEqual(wanted.map(({ sha256 }) => sha256));
    }
  }
});

test('a list that could not be read is read again', async () => {
  const { store, lists, space, list } = await bench(['a']);
  const read = store.read.bind(store);
  store.read = () => Promise.reject(new Error('the disk is away'));
  await expect(lists.partOf(list, space, 0)).rejects.toThrow('away');
  store.read = read;
  expect((await lists.partOf(list, space, 0)).size).toBe(1);
});

test('what the job says of the list must be so', async () => {
  const { faultOf, space } = await bench(['a', 'b']);
  const messageOf = async (over: Partial<FileListSpace>) => (await faultOf(over))?.message;
  expect(await messageOf({ count: 3 })).toBe(
    'step look: its list of files has 2 lines, and 3 in the job',
  );
  expect(await messageOf({ count: 1 })).toMatch(/longer than the 1 that the job says/);
  expect(await messageOf({ filesBytes: 1 })).toBe(
    `step look: the files of its list have ${space.filesBytes} bytes together, and 1 in the job`,
  );
});

test('names are told apart in the whole list, and on any disk in one unit', async () => {
  expect((await (await bench(['a', 'b', 'c', 'a'])).faultOf())?.message).toMatch(/names "a" twice/);
  const mixed = await bench(['a', 'B', 'c', 'b']);
  expect(await mixed.faultOf({ perUnit: 3 })).toBeUndefined();
  expect((await mixed.faultOf({ perUnit: 4 }))?.message).toMatch(/some disks take for one/);
  expect((await (await bench(['a/x', 'a'])).faultOf())?.message).toMatch(/needs a directory/);
});

test('a name of the list must not be that of an input that all units get', async () => {
  const { faultOf } = await bench(['a', 'b', 'model']);
  const value = fileOf('model');
  const fault = await faultOf({}, { inputs: [{ kind: { $case: 'file', value } }] });
  expect(fault?.message).toBe('step look: a unit of it has two inputs named "model": rename one');
});

test('a list that is none says which line', async () => {
  const { lists, space, store } = await bench(['a']);
  const { bytes, blob } = content(Buffer.from('hello\n'));
  await store.receive(blob, Readable.from([bytes]), 'client');
  const spec = stepOver({ ...space, list: { name: 'list', ...blob } });
  expect(await lists.faultOf([spec], [])).toEqual({
    reason: 'INVALID_JOB',
    message: 'step look: line 1 of the list of files is not "SHA256 BYTES NAME"',
  });
  // Said to be missing elsewhere: it is not looked for.
  expect(await lists.faultOf([spec], [blob.sha256])).toBeUndefined();
});
