/** The sound of a film, as a file of its own: whole, where it lies in the film, as loud as asked for. */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { proveSoundRunner } from '../../../agent/runners/film/prove-sound.ts';
import { audioSteps, type AudioRequest } from '../../../coordinator/recipes/audio.ts';
import type { SoundCoding } from '../../../coordinator/domain/film-tasks.ts';
import { Clips, ffmpeg, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { fileAt, runSteps, type StepsRun } from '../../support/run-steps.ts';

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

const none: SoundCoding = { encoder: '', bitrateBps: 0, channels: 0, sampleRate: 0 };

function taken(
  path: string,
  sound: string,
  request: Partial<AudioRequest> = {},
): Promise<StepsRun> {
  return runSteps(chain, audioSteps({ source: fileAt(path), sound, tracks: [], ...request }));
}

interface Proof {
  readonly ok: boolean;
  readonly checks: readonly { readonly check: string; readonly found: number }[];
}

async function proofOf(made: StepsRun): Promise<Proof> {
  return JSON.parse(await readFile(made.path('proof', 'proof.json'), 'utf8')) as Proof;
}

test.each(['late.flac', 'late.wav', 'late.m4a', 'late.opus', 'late.mp3', 'late.mka'])(
  'late sound begins late in %s',
  async (name) => {
    const made = await taken(await clips.path('late-audio'), name);
    expect(made.outcome).toEqual({ state: 'succeeded' });
    const { checks, ok } = await proofOf(made);
    expect(ok).toBe(true);
    // 0.372 s of silence and 3 s of sound, and what the source's coder filled up.
    const samples = checks.find(({ check }) => check.startsWith('samples of track 1'))!.found;
    expect(samples / 48_000).toBeGreaterThan(3.37);
    expect(samples / 48_000).toBeLessThan(3.5);
  },
);

test('sound that is not what went into its coder is not proven', async () => {
  const made = await taken(await clips.path('closed-gop'), 'a.flac');
  const outcome = await chain.attempt(
    proveSoundRunner,
    { $case: 'proveSound', value: { source: 'closed.mp4' } },
    async (directory) => {
      await copyFile(made.path('sound', 'sound.json'), join(directory, 'sound.json'));
      // As long, and of another pitch.
      const other = ['-i', made.path('sound', 'a.flac'), '-af', 'areverse'];
      await ffmpeg([...other, join(directory, 'a.flac')]);
    },
  );
  expect(outcome).toEqual({
    state: 'failed',
    kind: 'bad-output',
    message: 'not proven: track 1 in a.flac is not what went into its coder',
  });
});

test('is as loud as asked for: by a gain alone, or with its peaks taken down', async () => {
  const peaky = join(clips.directory, 'peaky.wav');
  // A quiet tone with loud clicks: no gain reaches the loudness below the peak.
  const graph =
    "aevalsrc='0.05*sin(2*PI*440*t)+0.9*lt(mod(t,0.5),0.002)*sin(2*PI*900*t)':d=6:s=48000";
  await ffmpeg(['-f', 'lavfi', '-i', graph, peaky]);
  const loudness = { targetLufs: -16, truePeakDbtp: -1 };
  for (const path of [await clips.path('closed-gop'), peaky]) {
    const made = await taken(path, 'loud.flac', { coding: { ...none, loudness } });
    expect(made.outcome).toEqual({ state: 'succeeded' });
    const { checks } = await proofOf(made);
    const lufs = checks.find(({ check }) => check.startsWith('loudness of'))!.found;
    expect(Math.abs(lufs + 16)).toBeLessThanOrEqual(0.5);
    const peak = checks.find(({ check }) => check.startsWith('true peak'))!.found;
    expect(peak).toBeLessThanOrEqual(-0.9);
  }
});

test('several tracks: in one file, each in its own, or the one that is asked for', async () => {
  const path = await clips.path('everything');
  const together = await taken(path, 'both.mka', { coding: { ...none, encoder: 'copy' } });
  expect(together.outcome).toEqual({ state: 'succeeded' });
  const tracks = await probeLines(together.path('sound', 'both.mka'), 'a', 'stream=codec_name');
  expect(tracks).toEqual(['aac', 'aac']);
  const apart = await taken(path, 'one.flac', {
    coding: { ...none, channels: 2, sampleRate: 24_000 },
  });
  expect(apart.outputs('sound')).toEqual(expect.arrayContaining(['one-1.flac', 'one-2.flac']));
  const form = await probeLines(
    apart.path('sound', 'one-2.flac'),
    'a',
    'stream=sample_rate,channels',
  );
  expect(form).toEqual(['24000,2']);
  const second = await taken(path, 'second.wav', { tracks: [2] });
  expect(second.outputs('sound')).toEqual(expect.arrayContaining(['second.wav']));
});

test('what cannot be is said in one line', async () => {
  const silent = await taken(await clips.path('silent'), 'a.flac');
  expect(silent.outcome).toEqual({
    state: 'failed',
    kind: 'invalid-input',
    message: 'silent.mp4 has no audio',
  });
  const third = await taken(await clips.path('closed-gop'), 'a.flac', { tracks: [3] });
  expect(third.outcome).toMatchObject({
    kind: 'invalid-input',
    message: expect.stringContaining('no track 3'),
  });
  const whole = join(clips.directory, 'whole.mkv');
  await ffmpeg(['-i', await clips.path('closed-gop'), '-c', 'copy', whole]);
  const cut = join(clips.directory, 'cut.mkv');
  const bytes = await readFile(whole);
  await writeFile(cut, bytes.subarray(0, Math.floor(bytes.length * 0.7)));
  expect((await taken(cut, 'a.flac')).outcome).toMatchObject({
    kind: 'invalid-input',
    message: expect.stringContaining('cut.mkv is truncated'),
  });
  const copied = await taken(await clips.path('closed-gop'), 'a.mp3', {
    coding: { ...none, encoder: 'copy' },
  });
  expect(copied.outcome).toMatchObject({ kind: 'invalid-input' });
});
