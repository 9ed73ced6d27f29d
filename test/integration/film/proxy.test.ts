/** A proxy has its film's frames, at their times, and its timecode, or one that begins at 0. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { proxySteps } from '../../../coordinator/recipes/proxy.ts';
import { transcodeSteps } from '../../../coordinator/recipes/transcode.ts';
import { Clips, ffmpeg, frameNumbers, frameSeconds, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps } from '../../support/run-steps.ts';

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

const wish = { format: '', longestSide: 160, film: '', pieceMs: 2000 };

test.each([
  ['h264', 'silent-proxy.mp4', 'h264'],
  ['h264-intra', 'silent-proxy.mov', 'h264'],
  ['prores', 'silent-proxy.mov', 'prores'],
  ['dnxhr', 'silent-proxy.mov', 'dnxhd'],
  ['mjpeg', 'silent-proxy.mov', 'mjpeg'],
])('as %s', async (format, name, codec) => {
  const path = await clips.path('silent');
  // DNxHR takes no picture below 256 by 120.
  const longestSide = format === 'dnxhr' ? 320 : 160;
  const made = await runSteps(
    chain,
    proxySteps({ ...wish, source: fileAt(path), format, longestSide }),
  );
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const film = made.path('concat', name);
  expect(await probeLines(film, 'v:0', 'stream=codec_name,width')).toEqual([
    `${codec},${longestSide}`,
  ]);
  expect(await frameSeconds(film)).toEqual(await frameSeconds(path));
  expect(await probeLines(film, 'v:0', 'stream_tags=timecode')).toEqual(['00:00:00:00']);
  if (format !== 'dnxhr') return;
  expect(await frameNumbers(film)).toEqual(await frameNumbers(path));
});

test('a timecode is kept', async () => {
  const plain = await clips.path('silent');
  const path = join(clips.directory, 'coded.mov');
  await ffmpeg(['-i', plain, '-c', 'copy', '-timecode', '01:02:03:04', path]);
  const made = await runSteps(chain, proxySteps({ ...wish, source: fileAt(path) }));
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const coded = made.path('concat', 'coded-proxy.mp4');
  expect(await probeLines(coded, 'v:0', 'stream_tags=timecode')).toEqual(['01:02:03:04']);
});

test('is made first and kept, where another recipe is asked for one', async () => {
  const path = await clips.path('silent');
  const video = {
    encoder: 'libx264',
    crf: 30,
    preset: 'ultrafast',
    width: 0,
    height: 0,
    threads: 1,
  };
  const request = { source: fileAt(path), film: 'film.mp4', pieceMs: 0, video };
  const withProxy = { overBytes: 0, format: 'h264-intra', longestSide: 64 };
  const made = await runSteps(chain, transcodeSteps({ ...request, withProxy }));
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(made.outputs('concat')).toEqual(['film.mp4']);
  expect(made.outputs('proof')).toEqual(['proof.json']);
  expect(made.outputs('proxy-concat')).toEqual(['silent-proxy.mov']);
  expect(made.outputs('proxy-proof')).toEqual(['silent-proxy.mov.proof.json']);
});
