/** Joining and proving, over files as units leave them, and over ones that somebody has bent. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { joinResultsRunner } from '../../../../../agent/runners/infer/join-results.ts';
import { proveResultsRunner } from '../../../../../agent/runners/infer/prove-results.ts';
import { chosenFrames } from '../../../../../agent/runners/infer/subjects.ts';
import { partNames } from '../../../../../agent/runners/infer/unit-part.ts';
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
const value = { list: 'pictures.list', everyMs: 0 };
const joined = (): Promise<RunOutcome> =>
  joinResultsRunner.run(unitWork(folder, { $case: 'joinResults', value }), context);
const proven = (): Promise<RunOutcome> =>
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
