import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  linesOf,
  noteFault,
  sizeFor,
  startOfBranch,
} from '../../../../../agent/runners/film/film-branch.ts';
import { FilmFault } from '../../../../../agent/runners/film/film-fault.ts';
import type { FilmPlan } from '../../../../../agent/runners/film/film-plan.ts';
import { unitWork } from '../../../../support/film-chain.ts';

const planOf = (width: number, height: number, orientation = [1, 0, 0, 1]): FilmPlan =>
  ({ source: { width, height, orientation } }) as FilmPlan;

describe('a rung', () => {
  test.each([
    [1920, 1080, 1080],
    [1920, 800, 1080],
    [1440, 1080, 1080],
    [720, 1280, 720],
    [720, 576, 576],
  ])('%d x %d has %d lines', (width, height, lines) => {
    expect(linesOf(planOf(width, height))).toBe(lines);
  });

  test.each([
    ['16:9', planOf(1920, 1080), { width: 1280, height: 0 }],
    ['flat', planOf(1920, 800), { width: 1280, height: 0 }],
    ['4:3', planOf(1440, 1080), { width: 0, height: 720 }],
    ['upright', planOf(1080, 1920), { width: 0, height: 1280 }],
    ['turned', planOf(1920, 1080, [0, 1, -1, 0]), { width: 0, height: 1280 }],
    ['small', planOf(640, 360), { width: 0, height: 0 }],
  ])('of 720 lines: %s', (_what, plan, size) => {
    expect(sizeFor(plan, 720)).toEqual(size);
  });
});

describe('a fault of the source', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'furrow-branch-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const branch = { lines: 0, always: true, proof: '', noteFaults: true };
  const work = (step: string) => unitWork(directory, { $case: 'noop', value: {} }, step);

  test('is noted alone, and what follows passes it on', async () => {
    await writeFile(join(directory, 'chunk-00000.mp4'), 'half of it');
    const fault = new FilmFault('invalid-input', 'a.mov is damaged');
    expect(await noteFault(work('encode-7'), { branch }, fault)).toBe(true);
    expect(await readdir(directory)).toEqual(['fault-encode-7-00000.json']);

    expect(await startOfBranch(work('concat-7'), { branch })).toEqual({
      state: 'left-out',
      why: 'left out: a.mov is damaged',
    });
    expect(await readdir(directory)).toContain('fault-concat-7-00000.json');
  });

  test('is a failure where nobody asked, and so is what is not its fault', async () => {
    const fault = new FilmFault('invalid-input', 'a.mov is damaged');
    expect(await noteFault(work('encode'), {}, fault)).toBe(false);
    const bad = new FilmFault('bad-output', 'a chunk is missing');
    expect(await noteFault(work('encode-7'), { branch }, bad)).toBe(false);
    expect(await readdir(directory)).toEqual([]);
  });
});
