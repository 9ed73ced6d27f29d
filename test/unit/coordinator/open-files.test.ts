import { expect, test } from 'vitest';
import { openFilesTrouble, openFilesWarning } from '../../../coordinator/open-files.ts';

test('warns, with the remedy, before all files that may be open are', () => {
  expect(openFilesWarning(799, 1_000)).toBeUndefined();
  expect(openFilesWarning(800, 1_000)).toMatch(/^800 of 1000 .*ulimit -Hn/);
  expect(openFilesWarning(100_000, Infinity)).toBeUndefined();
});

test('a process with few files is not troubled', async () => {
  expect(await openFilesTrouble()).toBeUndefined();
});
