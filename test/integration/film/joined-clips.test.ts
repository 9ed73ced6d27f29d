/** Clips that are unlike in everything become one film: order, frames, sound in its place at every join. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { concatSteps, type ConcatRequest } from '../../../coordinator/recipes/concat.ts';
import { Clips, ffmpeg, frameSeconds, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps, type StepsRun } from '../../support/run-steps.ts';

const run = promisify(execFile);

let clips: Clips;
let chain: FilmChain;

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
});

afterAll(async () => {
  await chain.refuseRunning();
  await chain.close();
  await clips.close();
});

const video = { encoder: 'libx264', crf: 24, preset: 'ultrafast', width: 0, height: 0, threads: 1 };

function joined(paths: readonly string[], request: Partial<ConcatRequest> = {}): Promise<StepsRun> {
  const files = paths.map((path) => fileAt(path));
  const form = { film: 'film.mp4', video, frameRate: '', sampleRate: 0, channels: 0 };
  return runSteps(chain, concatSteps({ clips: files, ...form, ...request }));
}

/** A second of black; at half of it the picture flashes and a tone begins, both for a tenth. */
async function flash(name: string, size: string, rate: number, sound: string): Promise<string> {
  const path = join(clips.directory, name);
  const at = 'between(t,0.4999,0.5999)';
  const picture = `color=black:s=${size}:r=${rate}:d=1,drawbox=c=white:t=fill:enable='${at}'`;
  const tone = `aevalsrc='0.5*sin(2*PI*1000*t)*${at}':d=1:${sound}`;
  const coding = '-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac'.split(' ');
  await ffmpeg(['-f', 'lavfi', '-i', picture, '-f', 'lavfi', '-i', tone, ...coding, path]);
  return path;
}

/** Three seconds of black without any sound. */
async function mute(name: string): Promise<string> {
  const path = join(clips.directory, name);
  await ffmpeg(['-f', 'lavfi', '-i', 'color=black:s=64x64:r=25:d=3', '-c:v', 'libx264', path]);
  return path;
}

test('picture and sound stay together at every join', async () => {
  const paths = [
    await flash('a.mp4', '160x90', 25, 's=48000:c=stereo'),
    await flash('b.mkv', '90x160', 30, 's=44100:c=mono'),
    await mute('mute.mp4'),
    await flash('c.mov', '200x100', 24, 's=22050:c=stereo'),
    await flash('d.mp4', '160x90', 25, 's=48000:c=stereo'),
  ];
  const made = await joined(paths);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const film = made.path('concat', 'film.mp4');
  // One second each, and three of the silent one, at the first clip's rate and size.
  expect(await probeLines(film, 'v:0', 'stream=width,height,r_frame_rate')).toEqual([
    '160,90,25/1',
  ]);
  const seconds = await frameSeconds(film);
  expect(seconds).toHaveLength(7 * 25);
  expect(seconds.every((at, i) => Math.abs(at - i / 25) < 1e-3)).toBe(true);
  const flashes = await edges(film, 'v', 25);
  const tones = await edges(film, 'a', 48_000);
  expect(flashes).toHaveLength(4);
  expect(tones).toHaveLength(4);
  for (const [i, at] of [0.5, 1.5, 5.5, 6.5].entries()) {
    expect(Math.abs(flashes[i]! - at)).toBeLessThan(0.041);
    expect(Math.abs(tones[i]! - at)).toBeLessThan(0.03);
  }
});

/** When something begins to be seen, or to be heard. */
async function edges(film: string, what: 'v' | 'a', rate: number): Promise<number[]> {
  const picture = [
    '-map',
    '0:v',
    '-vf',
    'crop=2:2:79:44,scale=1:1,format=gray',
    '-f',
    'rawvideo',
    '-',
  ];
  const sound = ['-map', '0:a', '-ac', '1', '-ar', String(rate), '-f', 'u8', '-'];
  const args = ['-v', 'error', '-i', film, ...(what === 'v' ? picture : sound)];
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 1 << 26 });
  const isOn = (level: number): boolean =>
    what === 'v' ? level > 127 : Math.abs(level - 128) > 20;
  const quiet = what === 'v' ? 1 : rate / 20;
  const found: number[] = [];
  let last = -Infinity;
  for (let i = 0; i < stdout.length; i += 1) {
    if (!isOn(stdout[i]!)) continue;
    if (i - last > quiet) found.push(i / rate);
    last = i;
  }
  return found;
}

test('clips of every awkward kind, in a form of the user’s', async () => {
  const kinds = [
    'rotated',
    'odd-size',
    'late-audio',
    'variable-rate',
    'one-frame',
    'ten-bit',
  ] as const;
  const paths = await Promise.all(kinds.map((kind) => clips.path(kind)));
  const made = await joined(paths, {
    video: { ...video, width: 128, height: 128 },
    frameRate: '30000/1001',
    channels: 1,
  });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const { clips: seen } = JSON.parse(await readFile(made.path('survey', 'clips.json'), 'utf8')) as {
    clips: { name: string; samples: number }[];
  };
  expect(seen).toHaveLength(kinds.length);
  const film = made.path('concat', 'film.mp4');
  // As deep as the deepest of them.
  expect(await probeLines(film, 'v:0', 'stream=width,height,pix_fmt')).toEqual([
    '128,128,yuv420p10le',
  ]);
});

test('clips without any sound make a film without', async () => {
  const silent = await clips.path('silent');
  const made = await joined([silent, silent]);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(made.path('concat', 'film.mp4'), 'a', 'stream=codec_name')).toEqual([]);
  expect(await frameSeconds(made.path('concat', 'film.mp4'))).toHaveLength(150);
});

test('a clip that is none is named', async () => {
  const text = join(clips.directory, 'notes.mp4');
  await writeFile(text, 'no film at all\n'.repeat(10));
  const made = await joined([await clips.path('silent'), text]);
  expect(made.outcome).toMatchObject({ state: 'failed', kind: 'invalid-input' });
  expect(JSON.stringify(made.outcome)).toContain('notes.mp4');
  const whole = await readFile(await clips.path('closed-gop'));
  const cut = join(clips.directory, 'cut.mp4');
  await writeFile(cut, whole.subarray(0, Math.floor(whole.length / 2)));
  const other = await joined([await clips.path('silent'), cut]);
  expect(JSON.stringify(other.outcome)).toContain('cut.mp4');
});
