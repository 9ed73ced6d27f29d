/** A plan comes from another machine: what its words could make ffmpeg do must not pass. */
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readPlan } from '../../../../../agent/runners/film/film-plan.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'furrow-plan-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const SOURCE = {
  name: 'film.mp4',
  codec: 'h264',
  width: 320,
  height: 180,
  pixelFormat: 'yuv420p10le',
  stream: 0,
  frameRate: '30000/1001',
  orientation: [1, 0, 0, 1],
  colour: { range: 'tv', space: 'bt2020nc', transfer: 'arib-std-b67', primaries: 'unknown' },
  masteringDisplay: 'G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)',
  contentLight: '1000,400',
  audioTracks: 1,
};
const PLAN = {
  version: 1,
  source: SOURCE,
  timeBase: { num: 1, den: 12_800 },
  videoDelayUs: 0,
  frames: 3,
  times: { first: 0, runs: [[512, 2]] },
  lastFrameTicks: 512,
  mode: 'cut',
  pieces: [
    {
      name: 'piece-00000.nut',
      firstFrame: 0,
      frames: 3,
      timeBase: { num: 1, den: 12_800 },
      shiftTicks: 0,
    },
  ],
};

const read = async (plan: unknown): Promise<unknown> => {
  await writeFile(join(directory, 'plan.json'), JSON.stringify(plan));
  return readPlan(directory);
};

test('a plan as split writes it', async () => {
  expect(await read(PLAN)).toEqual(PLAN);
});

test.each<[string, object]>([
  ['a file for x264 to write to', { frameRate: '25/1:stats=/home/me/.profile' }],
  ['a file for x265 to write to', { masteringDisplay: 'G(1,1):csv=/home/me/.profile' }],
  ['another parameter of x265', { contentLight: '1000,400:recon=x' }],
  ['a filter that reads a file', { colour: { ...SOURCE.colour, range: 'tv,movie=x' } }],
  ['an option of a filter', { colour: { ...SOURCE.colour, space: 'bt709:x=y' } }],
  ['a pixel format with more behind it', { pixelFormat: 'yuv420p,drawtext=textfile=x' }],
  ['a picture wider than any', { width: 100_000 }],
])('in its words: %s', async (_, source) => {
  const plan = { ...PLAN, source: { ...SOURCE, ...source } };
  await expect(read(plan)).rejects.toMatchObject({ kind: 'invalid-input' });
});

test.each([
  ['piece-00000.nut/../../x'],
  ['../piece-00000.nut'],
  ['concat:piece-00000.nut|x'],
  ['piece-%05d.nut'],
])('a piece named %s', async (name) => {
  const plan = { ...PLAN, pieces: [{ ...PLAN.pieces[0], name }] };
  await expect(read(plan)).rejects.toMatchObject({ kind: 'invalid-input' });
});

test('a plan that would fill the memory of the agent that reads it', async () => {
  const file = await open(join(directory, 'plan.json'), 'w');
  await file.truncate(49 * 1024 * 1024);
  await file.close();
  await expect(readPlan(directory)).rejects.toMatchObject({
    kind: 'invalid-input',
    message: 'plan.json has 51380224 bytes, more than any film needs',
  });
});

test.each(['{"version":1', ''])('a plan that is no JSON: %s', async (text) => {
  await writeFile(join(directory, 'plan.json'), text);
  await expect(readPlan(directory)).rejects.toMatchObject({ message: 'plan.json is not JSON' });
});

test('more frames than memory has room for', async () => {
  const frames = 2 ** 40;
  const plan = {
    ...PLAN,
    frames,
    times: { first: 0, runs: [[1, frames - 1]] },
    pieces: [{ ...PLAN.pieces[0], frames }],
  };
  await expect(read(plan)).rejects.toMatchObject({ kind: 'invalid-input' });
});
