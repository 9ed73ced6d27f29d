/** Joining and proving, over files as units leave them, and over ones that somebody has bent. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { joinResultsRunner } from '../../../../../agent/runners/infer/join-results.ts';
import { proveResultsRunner } from '../../../../../agent/runners/infer/prove-results.ts';
import { chosenFrames } from '../../../../../agent/runners/infer/subjects.ts';
import { partNames } from '../../../../../agent/runners/infer/unit-part.ts';
import {
  parseResultLine,
  type ResultLine,
} from '../../../../../agent/runners/infer/result-line.ts';
import { ResultTableFile } from '../../../../../agent/runners/infer/result-table.ts';
import type { ProveResultsTask } from '../../../../../proto/gen/furrow/v1/task_infer.ts';
import type { FilmPlan } from '../../../../../agent/runners/film/film-plan.ts';
import type { RunnerContext, RunOutcome } from '../../../../../agent/runners/runner.ts';
import { lineOf } from '../../../../../kit/file-list.ts';
import { unitWork } from '../../../../support/film-chain.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-join-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const NAMES = ['a.png', 'b "quoted", c.png', 'd.png', 'e.png', 'f.png'];
const cat = (score: number, box = [0, 0, 5, 5]) => ({ label: 'cat', class: 1, score, box });
const looked = (image: string, ...found: object[]) => ({ image, width: 10, height: 10, found });

const context = {
  signal: new AbortController().signal,
  progress: () => undefined,
  log: () => undefined,
} as unknown as RunnerContext;
const pictures = { list: 'pictures.list', everyMs: 0 };
const joined = (value: ProveResultsTask = pictures): Promise<RunOutcome> =>
  joinResultsRunner.run(unitWork(folder, { $case: 'joinResults', value }), context);
const proven = (value: ProveResultsTask = pictures): Promise<RunOutcome> =>
  proveResultsRunner.run(unitWork(folder, { $case: 'proveResults', value }), context);

function leave(unit: number, lines: readonly object[]): void {
  const { part, time } = partNames(unit);
  writeFileSync(join(folder, part), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const startedAtMs = 1_000 * unit;
  const took = { pictures: lines.length, startedAtMs, endedAtMs: startedAtMs + 2_000 };
  writeFileSync(join(folder, time), JSON.stringify(took));
}

const textOf = (name: string): string => readFileSync(join(folder, name), 'utf8');

beforeEach(() => {
  const sha256 = '0'.repeat(64);
  const list = NAMES.map((name) => lineOf({ name, sha256, sizeBytes: 1 }));
  writeFileSync(join(folder, 'pictures.list'), list.join(''));
  leave(0, [looked('a.png', cat(0.9), cat(0.4)), { image: NAMES[1], error: 'it is "empty"' }]);
  leave(1, [looked('d.png'), looked('e.png', cat(0.5))]);
  leave(2, [looked('f.png')]);
});

test('one line each, in order, with what failed and what was found', async () => {
  expect(await joined()).toEqual({ state: 'succeeded' });
  const lines = textOf('results.jsonl').trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { image: string }).image)).toEqual(NAMES);
  expect(textOf('failures.csv')).toBe('image,error\r\n"b ""quoted"", c.png","it is ""empty"""\r\n');
  expect(JSON.parse(textOf('summary.json'))).toEqual({
    version: 1,
    images: 5,
    failed: 1,
    found: 3,
    labels: [{ label: 'cat', pictures: 2, found: 3 }],
    seconds: 4,
    unitSeconds: 6,
    imagesPerSecond: 1,
  });
  expect(await proven()).toEqual({ state: 'succeeded' });
  expect(JSON.parse(textOf('proof.json'))).toMatchObject({ ok: true, images: 5, failed: 1 });
});

test('what a unit that failed was to look at has its line', async () => {
  rmSync(join(folder, partNames(1).part));
  expect(await joined()).toEqual({ state: 'succeeded' });
  expect(textOf('failures.csv')).toContain('d.png,its unit failed\r\ne.png,its unit failed\r\n');
  expect(await proven()).toEqual({ state: 'succeeded' });
});

test.each([
  ['a picture that nobody asked for', looked('z.png'), /units told of "z\.png"/],
  ['a picture once more', looked('a.png'), /units told of "a\.png"/],
  ['no result', { image: 'f.png' }, /a unit told what is no result: \{"image":"f\.png"\}/],
])('a unit that told of %s', async (_what, line, message) => {
  leave(2, [line]);
  expect(await joined()).toMatchObject({
    state: 'failed',
    kind: 'bad-output',
    message: expect.stringMatching(message) as string,
  });
});

test.each<[string, (lines: string[]) => string[], RegExp]>([
  ['lacks a line', (lines) => lines.slice(0, 4), /has 4 lines for 5 inputs/],
  ['has a line twice', (lines) => [...lines, lines[4]!], /has 6 lines for 5 inputs/],
  [
    'has two lines in each other’s place',
    ([a, b, ...rest]) => [b!, a!, ...rest],
    /line 1 of results\.jsonl is not the result of "a\.png"/,
  ],
  ['has half a line', ([a, ...rest]) => [a!.slice(0, 20), ...rest], /line 1 of results\.jsonl/],
  [
    'has a box outside its picture',
    (lines) => lines.map((line) => line.replace('[0,0,5,5]', '[0,0,5,50]')),
    /line 1 of results\.jsonl has a box outside/,
  ],
  [
    'has other counts than its summary',
    (lines) => lines.map((line) => line.replace(/"found":\[\{.*\}\]/, '"found":[]')),
    /summary\.json says/,
  ],
])('results of which one %s are not proven', async (_what, bend, message) => {
  await joined();
  const lines = textOf('results.jsonl').trimEnd().split('\n');
  writeFileSync(
    join(folder, 'results.jsonl'),
    bend(lines)
      .map((line) => `${line}\n`)
      .join(''),
  );
  expect(await proven()).toMatchObject({
    state: 'failed',
    kind: 'bad-output',
    message: expect.stringMatching(message) as string,
  });
  expect(JSON.parse(textOf('proof.json'))).toMatchObject({ ok: false });
});

test('of a film the first frame of each stretch, whatever its rate', () => {
  // Frames at 0, 40 … 960 ms, and then one a second.
  const plan = {
    timeBase: { num: 1, den: 1_000 },
    times: {
      first: 500,
      runs: [
        [40, 24],
        [1_000, 3],
      ],
    },
  } as unknown as FilmPlan;
  const times = (everyMs: number): number[] => chosenFrames(plan, everyMs).map(({ time }) => time);
  expect(times(0)).toHaveLength(28);
  expect(times(500)).toEqual([0, 0.52, 1.96, 2.96, 3.96]);
  expect(times(1_000)).toEqual([0, 1.96, 2.96, 3.96]);
});

describe('a table', () => {
  const both = { ...pictures, format: 'both' };
  const table = (): string => join(folder, 'results.parquet');
  const linesThere = (): ResultLine[] =>
    textOf('results.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => parseResultLine(line)!);

  async function writeTable(lines: readonly ResultLine[]): Promise<void> {
    const file = await ResultTableFile.create(table(), 'image');
    for (const line of lines) await file.write(line);
    await file.end();
  }

  test('has a row for each line, failed ones with their reason, and is proven', async () => {
    leave(2, [looked('f.png', { label: 'dog', class: 2, score: 1 })]);
    expect(await joined(both)).toEqual({ state: 'succeeded' });
    const file = await asyncBufferFromFile(table());
    const box = { xmin: 0, ymin: 0, xmax: 5, ymax: 5 };
    const found = (label: string, score: number) => ({ label, class: 1, score, box });
    const seen = { width: 10, height: 10, error: null };
    expect(await parquetReadObjects({ file })).toEqual([
      { image: 'a.png', ...seen, found: [found('cat', 0.9), found('cat', 0.4)] },
      { image: NAMES[1], width: null, height: null, found: undefined, error: 'it is "empty"' },
      { image: 'd.png', ...seen, found: [] },
      { image: 'e.png', ...seen, found: [found('cat', 0.5)] },
      { image: 'f.png', ...seen, found: [{ label: 'dog', class: 2, score: 1 }] },
    ]);
    expect(await proven(both)).toEqual({ state: 'succeeded' });
    const proof = JSON.parse(textOf('proof.json')) as { files: { name: string }[] };
    expect(proof).toMatchObject({ ok: true, images: 5, failed: 1 });
    expect(proof.files.map(({ name }) => name)).toEqual(['results.jsonl', 'results.parquet']);
  });

  test('alone is what its proof names', async () => {
    const alone = { ...pictures, format: 'parquet' };
    await joined(alone);
    expect(await proven(alone)).toEqual({ state: 'succeeded' });
    const proof = JSON.parse(textOf('proof.json')) as { files: { name: string }[] };
    expect(proof.files.map(({ name }) => name)).toEqual(['results.parquet']);
  });

  test.each<[string, (lines: ResultLine[]) => ResultLine[], RegExp]>([
    ['lacks a row', (lines) => lines.slice(0, 4), /row 5 of results\.parquet does not say/],
    ['has a row twice', (lines) => [...lines, lines[4]!], /has 6 rows for 5 lines/],
    [
      'has two rows in each other’s place',
      ([a, b, ...rest]) => [b!, a!, ...rest],
      /row 1 of results\.parquet does not say what line 1 of results\.jsonl says/,
    ],
    [
      'has another figure',
      (lines) => lines.map((line) => ('found' in line ? { ...line, width: 11 } : line)),
      /row 1 of results\.parquet does not say/,
    ],
    [
      'has another reason',
      (lines) => lines.map((line) => ('error' in line ? { ...line, error: 'no' } : line)),
      /row 2 of results\.parquet does not say/,
    ],
    [
      'lacks findings',
      (lines) => lines.map((line) => ('found' in line ? { ...line, found: [] } : line)),
      /row 1 of results\.parquet does not say/,
    ],
  ])('that %s is not proven', async (_what, bend, message) => {
    await joined(both);
    await writeTable(bend(linesThere()));
    expect(await proven(both)).toMatchObject({
      state: 'failed',
      kind: 'bad-output',
      message: expect.stringMatching(message) as string,
    });
    expect(JSON.parse(textOf('proof.json'))).toMatchObject({ ok: false });
  });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['is cut off', (bytes) => bytes.subarray(0, bytes.length - 20)],
    ['is empty', () => Buffer.alloc(0)],
    ['has broken pages', (bytes) => spoilt(bytes)],
  ])('that %s is not proven', async (_what, bend) => {
    await joined(both);
    writeFileSync(table(), bend(readFileSync(table())));
    expect(await proven(both)).toMatchObject({ state: 'failed', kind: 'bad-output' });
  });

  /** With its first page overwritten; the index at its end is whole. */
  function spoilt(bytes: Buffer): Buffer {
    return Buffer.from(bytes).fill(0xff, 4, 40);
  }
});
