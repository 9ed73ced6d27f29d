/**
 * In MPEG streams ffmpeg takes the first of the tracks that it is told to read for the start of all: what is read
 * without the others must still lie where it lay.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { audioSteps } from '../../../coordinator/recipes/audio.ts';
import { Clips, ffmpeg } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps } from '../../support/run-steps.ts';

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

/** Seconds by which the sound of a film begins after its picture. */
async function lateness(path: string): Promise<number> {
  const asked = ['-v', 'error', '-show_entries', 'stream=codec_type,start_time', '-of', 'json'];
  const { stdout } = await promisify(execFile)('ffprobe', [...asked, path]);
  const { streams } = JSON.parse(stdout) as {
    streams: { codec_type: string; start_time: string }[];
  };
  const start = (type: string): number =>
    Number(streams.find(({ codec_type }) => codec_type === type)!.start_time);
  return start('audio') - start('video');
}

async function asStream(name: string, kind: 'late-audio' | 'late-picture'): Promise<string> {
  const path = join(clips.directory, name);
  await ffmpeg(['-i', await clips.path(kind), '-c', 'copy', '-f', 'mpegts', path]);
  return path;
}

test('sound that begins late, beside a picture that is cut', async () => {
  const path = await asStream('late.ts', 'late-audio');
  expect(await lateness(path)).toBeGreaterThan(0.3);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(Math.abs((await lateness(made.film)) - (await lateness(path)))).toBeLessThan(0.025);
});

test('a picture that begins late, where the clock jumps and it is read whole', async () => {
  const first = await asStream('first.ts', 'late-picture');
  const later = join(clips.directory, 'later.ts');
  await ffmpeg(['-itsoffset', '100', '-i', first, '-c', 'copy', '-f', 'mpegts', later]);
  const path = join(clips.directory, 'jump.ts');
  await writeFile(path, Buffer.concat([await readFile(first), await readFile(later)]));
  expect(await lateness(path)).toBeLessThan(-0.4);
  const made = await chain.transcode(path);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(made.runs.get('split')?.log.join('\n')).toContain('(whole)');
  expect(Math.abs((await lateness(made.film)) - (await lateness(path)))).toBeLessThan(0.025);
});

test('sound alone begins as late as in its film', async () => {
  const path = await asStream('sound.ts', 'late-audio');
  const late = await lateness(path);
  const coding = { encoder: 'flac', bitrateBps: 0, channels: 0, sampleRate: 0 };
  const request = { source: fileAt(path), coding, sound: 'late.flac', tracks: [1] };
  const made = await runSteps(chain, audioSteps(request));
  expect(made.outcome).toEqual({ state: 'succeeded' });
  const pcm = join(clips.directory, 'late.raw');
  await ffmpeg(['-i', made.path('sound', 'late.flac'), '-f', 's16le', '-ac', '1', pcm]);
  const bytes = await readFile(pcm);
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const heard = samples.findIndex((sample) => Math.abs(sample) > 300) / 48_000;
  expect(Math.abs(heard - late)).toBeLessThan(0.05);
});
