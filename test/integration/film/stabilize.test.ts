/** A film held still in pieces shows what a single run over the whole of it shows. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stabilizeSteps, type StabilizeRequest } from '../../../coordinator/recipes/stabilize.ts';
import { Clips, ffmpeg, frameSeconds } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps, type StepsRun } from '../../support/run-steps.ts';

const run = promisify(execFile);

let clips: Clips;
let chain: FilmChain;
let shaky: string;

/** A still pattern seen by a hand that is not: slow and fast movements at once. */
const PATTERN = "lum='128+50*sin(X/7+Y/17)*cos(Y/11)+40*sin((X*X+Y*Y)/900)':cb=128:cr=128";
const HAND = "x='34+12*sin(n/6)+4*sin(n*1.7)':y='31+5*sin(n*2.3)+7*cos(n/9)'";

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
  shaky = join(clips.directory, 'shaky.mp4');
  const still = `color=gray:s=260x170:r=25:d=0.04,geq=${PATTERN},loop=-1:1,trim=end_frame=50`;
  const graph = `${still},setpts=N/25/TB,crop=192:108:${HAND},format=yuv420p`;
  const coding = '-c:v libx264 -preset ultrafast -crf 10 -bf 2 -g 25 -sc_threshold 0'.split(' ');
  await ffmpeg(['-f', 'lavfi', '-i', graph, ...coding, shaky]);
});

afterAll(async () => {
  await chain.refuseRunning();
  await chain.close();
  await clips.close();
});

function held(path: string, options: Partial<StabilizeRequest> = {}): Promise<StepsRun> {
  const request: StabilizeRequest = {
    source: fileAt(path),
    video: { encoder: 'libx264', crf: 4, preset: 'superfast', width: 0, height: 0, threads: 1 },
    film: 'steady.mp4',
    pieceMs: 1000,
    smoothingMs: 400,
    shakiness: 5,
    edges: 'black',
    zoomMilliPercent: 0,
    ...options,
  };
  return runSteps(chain, stabilizeSteps(request));
}

/** Likeness of each frame of two films. */
async function likeness(a: string, b: string): Promise<number[]> {
  const stats = join(clips.directory, 'ssim.txt');
  await ffmpeg([
    '-i',
    a,
    '-i',
    b,
    '-lavfi',
    `[0:v][1:v]ssim=stats_file=${stats}`,
    '-f',
    'null',
    '-',
  ]);
  const lines = (await readFile(stats, 'utf8')).trim().split('\n');
  return lines.map((line) => Number(/All:([\d.]+)/.exec(line)?.[1]));
}

async function heldAtOnce(path: string, radius: number, zoom: number): Promise<string> {
  const film = join(clips.directory, 'at-once.mkv');
  const options = { cwd: clips.directory };
  const ask = (filter: string, output: string[]): Promise<unknown> =>
    run('ffmpeg', ['-v', 'error', '-y', '-i', path, '-an', '-vf', filter, ...output], options);
  await ask('format=yuv420p,vidstabdetect=result=at-once.trf', ['-f', 'null', '-']);
  const words = `smoothing=${radius}:optzoom=0:zoom=${zoom}:crop=black:optalgo=gauss`;
  await ask(`format=yuv420p,vidstabtransform=input=at-once.trf:${words}`, ['-c:v', 'ffv1', film]);
  return film;
}

test('pieces move as in one run over the film, and nothing jumps where they meet', async () => {
  const made = await held(shaky);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(made.outputs('detect').filter((name) => name.endsWith('.trf'))).toHaveLength(2);
  const film = made.path('concat', 'steady.mp4');
  expect(await frameSeconds(film)).toEqual(await frameSeconds(shaky));
  const frames = await likeness(film, await heldAtOnce(shaky, 10, 0));
  expect(frames).toHaveLength(50);
  expect(Math.min(...frames)).toBeGreaterThan(0.98);
  // What the film was is another picture: the comparison can tell.
  const before = await likeness(film, shaky);
  expect(Math.min(...before)).toBeLessThan(0.8);
});

test('what would move into the picture is cut off', async () => {
  const made = await held(shaky, { edges: 'crop' });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const moves = JSON.parse(await readFile(made.path('smooth', 'moves.json'), 'utf8')) as {
    zoomPercent: number;
    moves: [number, number, number][];
  };
  expect(moves.moves).toHaveLength(50);
  expect(moves.zoomPercent).toBeGreaterThan(1);
  const film = made.path('concat', 'steady.mp4');
  // Black appears in no frame; the pattern's darkest grey is 38.
  const levels = ['-vf', 'format=gray,signalstats,metadata=print:file=-', '-f', 'null', '-'];
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', film, ...levels]);
  const darkest = [...stdout.matchAll(/signalstats\.YMIN=(\d+)/g)].map((match) => Number(match[1]));
  expect(darkest).toHaveLength(50);
  expect(Math.min(...darkest)).toBeGreaterThan(20);
});

test('a film of one frame, and of an odd size, is held still as it is', async () => {
  const odd = join(clips.directory, 'odd-one.mkv');
  await ffmpeg(['-f', 'lavfi', '-i', 'testsrc2=s=65x49:d=0.04', '-c:v', 'ffv1', odd]);
  const made = await held(odd);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await frameSeconds(made.path('concat', 'steady.mp4'))).toHaveLength(1);
});
