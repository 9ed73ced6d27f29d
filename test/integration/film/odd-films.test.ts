/** Films whose pieces do not simply begin, or do not simply join: all their frames, in sync. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clips, ffmpeg, frameNumbers, probeLines } from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

let clips: Clips;
let chain: FilmChain;
beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
});
afterAll(async () => {
  await chain.close();
  await clips.close();
});

const pieces = ({ runs }: ChainResult): number =>
  [...runs.keys()].filter((step) => step.startsWith('encode')).length;

test('pictures that are refreshed bit by bit, without any keyframe but the first', async () => {
  const path = join(clips.directory, 'refreshed.mp4');
  const refresh = ['-x264-params', 'intra-refresh=1:keyint=25'];
  const coding = ['-c:v', 'libx264', '-preset', 'superfast', ...refresh];
  await ffmpeg(['-i', await clips.path('silent'), ...coding, path]);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await frameNumbers(made.film)).toEqual(await frameNumbers(path));
  expect(made.runs.get('split')?.log.join('\n')).toMatch(/refreshed bit by bit/);
});

test('DNxHR in MXF, which says no tag, is cut', async () => {
  const path = join(clips.directory, 'camera.mxf');
  const coding = '-c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p -t 2'.split(' ');
  await ffmpeg(['-i', await clips.path('silent'), ...coding, path]);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(pieces(made)).toBe(2);
  expect(await frameNumbers(made.film)).toEqual(await frameNumbers(path));
});

test('a codec that no piece can hold', async () => {
  const path = join(clips.directory, 'old.rm');
  const coding = ['-vf', 'scale=352:288', '-t', '1', '-c:v', 'rv20'];
  await ffmpeg(['-i', await clips.path('silent'), ...coding, path]);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await frameNumbers(made.film)).toEqual(await frameNumbers(path));
});

test('a palette that the container says once', async () => {
  const path = join(clips.directory, 'palette.avi');
  await ffmpeg(['-i', await clips.path('silent'), '-pix_fmt', 'pal8', '-c:v', 'rawvideo', path]);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await frameNumbers(made.film)).toEqual(await frameNumbers(path));
});

test('a film that changes its size in the middle keeps its first', async () => {
  const source = await clips.path('silent');
  const parts = [];
  for (const [i, [size, seconds]] of [
    ['320:180', 0],
    ['640:360', 4],
  ].entries()) {
    const part = join(clips.directory, `part-${i}.ts`);
    const coding = ['-vf', `scale=${size}`, '-c:v', 'libx264', '-preset', 'superfast', '-g', '25'];
    await ffmpeg(['-i', source, '-t', '2', ...coding, '-output_ts_offset', `${seconds}`, part]);
    parts.push(await readFile(part));
  }
  const path = join(clips.directory, 'sizes.ts');
  await writeFile(path, Buffer.concat(parts));
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(pieces(made)).toBe(4);
  expect(await probeLines(made.film, 'v:0', 'stream=width,height')).toEqual(['320,180']);
  const half = Array.from({ length: 50 }, (_, i) => i);
  expect(await frameNumbers(made.film)).toEqual([...half, ...half]);
});

/** When the first sound is heard, after the first picture that is shown; ffmpeg decodes both at once. */
async function soundAfterPicture(path: string): Promise<number> {
  const maps = ['-map', '0:v:0', '-map', '0:a:0', '-c:a', 'pcm_s16le'];
  const lines = [...maps, '-fps_mode', 'passthrough', '-enc_time_base', '1/90000'];
  const list = ['-v', 'fatal', '-i', path, ...lines, '-f', 'framecrc', '-'];
  const { stdout } = await promisify(execFile)('ffmpeg', list);
  const first = (stream: number): number => {
    const base = new RegExp(`^#tb ${stream}: 1/(\\d+)`, 'm').exec(stdout)![1];
    return Number(new RegExp(`^${stream},.*?,\\s*(-?\\d+)`, 'm').exec(stdout)![1]) / Number(base);
  };
  return first(1) - first(0);
}

test('a recording that begins between two keyframes', async () => {
  const stream = join(clips.directory, 'whole.ts');
  await ffmpeg(['-i', await clips.path('closed-gop'), '-c', 'copy', stream]);
  const whole = await readFile(stream);
  const path = join(clips.directory, 'recorded.ts');
  await writeFile(path, whole.subarray(188 * Math.floor(whole.length / 188 / 3)));
  const late = await soundAfterPicture(path);
  expect(late).toBeLessThan(-0.2);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(Math.abs((await soundAfterPicture(made.film)) - late)).toBeLessThan(0.03);
  const numbers = await frameNumbers(made.film);
  expect(numbers).toEqual(Array.from(numbers, (_, i) => 100 - numbers.length + i));
  expect(numbers.length).toBeGreaterThanOrEqual(50);
});
