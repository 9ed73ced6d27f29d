/** Packages of a ladder play, from their playlists, just the frames of the film, and each segment stands alone. */
import { execFile } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runnerRegistry } from '../../../agent/runners/registry.ts';
import { ladderSteps, type LadderRequest } from '../../../coordinator/recipes/ladder.ts';
import { Clips, probeLines, type ClipKind } from '../../support/clips.ts';
import { FilmChain, unitWork } from '../../support/film-chain.ts';
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

const VIDEO = { encoder: '', crf: 30, preset: 'ultrafast', width: 0, height: 0, threads: 1 };

async function packaged(kind: ClipKind, request: Partial<LadderRequest>): Promise<StepsRun> {
  const source = fileAt(await clips.path(kind));
  const rungs = [
    { lines: 144, maxBitrateBps: 0 },
    { lines: 96, maxBitrateBps: 0 },
    { lines: 1080, maxBitrateBps: 0 },
  ];
  const usual = { name: 'web', container: '', pieceMs: 1000, rungs, video: VIDEO };
  const packaging = { hls: true, dash: true };
  return runSteps(chain, ladderSteps({ source, ...usual, packaging, ...request }));
}

async function decodedFrames(path: string, stream: string): Promise<number> {
  const options = ['-v', 'error', '-i', path, '-map', stream, '-f', 'framecrc', '-'];
  const { stdout, stderr } = await run('ffmpeg', options);
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => /^\d/.test(line)).length;
}

test('a film with B-frames, from its playlists and its manifest', async () => {
  const made = await packaged('open-gop', {});
  expect(made.outcome).toEqual({ state: 'succeeded' });
  console.log(made.outputs('package'), made.path('package', 'web'));
  console.log(await readFile(made.path('package', 'web/master.m3u8'), 'utf8'));
  console.log(await readFile(made.path('package', 'web/manifest.mpd'), 'utf8'));
  console.log(await readFile(made.path('package', 'web/144p.m3u8'), 'utf8'));
  console.log(await readFile(made.path('proof-package', 'web/proof.json'), 'utf8'));
  for (const name of ['master.m3u8', '144p.m3u8', '96p.m3u8', 'manifest.mpd', '144p.mp4'])
    console.log(name, await decodedFrames(made.path('package', `web/${name}`), '0:v:0'));
});
