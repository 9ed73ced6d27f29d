/** A table of many rows, as it is written and read: a row group at a time. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ResultLine } from '../../../../../agent/runners/infer/result-line.ts';
import { ResultTable, ResultTableFile } from '../../../../../agent/runners/infer/result-table.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-table-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (): string => join(folder, 'results.parquet');

function frame(n: number, findings: number): ResultLine {
  const time = n / 25;
  if (n % 7 === 3) return { frame: n, time, error: `frame ${n} is “broken” 🎞` };
  const found = Array.from({ length: findings }, (_, k) => {
    const rest = { label: `label ${(n + k) % 80}`, class: (n + k) % 80, score: 1 / (n + k + 1) };
    // Of a model that only classifies there are no boxes.
    return k % 3 === 2 ? rest : { ...rest, box: [k, 0.25, k + n / 3, 17.75] as const };
  });
  return { frame: n, time, width: 1920, height: 1080, found: found as never[] };
}

async function written(lines: Iterable<ResultLine>): Promise<number[]> {
  const file = await ResultTableFile.create(path(), 'frame');
  for (const line of lines) await file.write(line);
  await file.end();
  const { row_groups: groups } = await parquetMetadataAsync(await asyncBufferFromFile(path()));
  return groups.map(({ num_rows: rows }) => Number(rows));
}

async function expectSame(lines: readonly ResultLine[]): Promise<void> {
  const table = await ResultTable.open(path());
  expect(table.rows).toBe(lines.length);
  const read: (ResultLine | undefined)[] = [];
  for await (const line of table.lines()) read.push(line);
  expect(read).toHaveLength(lines.length);
  // One by one: an assertion that compares thousands of findings takes seconds.
  expect(lines[lines.findIndex((line, n) => !isDeepStrictEqual(line, read[n]))]).toBeUndefined();
}

test('many rows are written in groups, and read as they were', { timeout: 60_000 }, async () => {
  const lines = Array.from({ length: 5_100 }, (_, n) => frame(n, n % 9 === 0 ? 3 : 0));
  expect(await written(lines)).toEqual([5_000, 100]);
  await expectSame(lines);
});

test('rows of many findings make smaller groups', { timeout: 60_000 }, async () => {
  const lines = Array.from({ length: 25 }, (_, n) => frame(n * 7, 1_000));
  expect(await written(lines)).toEqual([10, 10, 5]);
  await expectSame(lines);
});

test('a group is on the disk before the next one comes', async () => {
  const file = await ResultTableFile.create(path(), 'frame');
  for (let n = 0; n < 10; n += 1) await file.write(frame(n * 7, 1_000));
  const first = statSync(path()).size;
  expect(first).toBeGreaterThan(1_000);
  await file.write(frame(1, 1));
  expect(statSync(path()).size).toBe(first);
  await file.end();
  expect((await ResultTable.open(path())).rows).toBe(11);
});

test('no results are a table without rows', async () => {
  expect(await written([])).toEqual([]);
  await expectSame([]);
});
