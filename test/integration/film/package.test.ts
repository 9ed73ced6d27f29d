/** Packages of a ladder play, from their playlists, just the frames of the film; what is not whole is found. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runnerRegistry } from '../../../agent/runners/registry.ts';
import type { RunOutcome } from '../../../agent/runners/runner.ts';
import { ladderSteps } from '../../../coordinator/recipes/ladder.ts';
import { Clips, type ClipKind } from '../../support/clips.ts';
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

const PACKAGING = { hls: true, dash: true };

/** In 96 lines, and in 1080 if it had them. */
async function packaged(kind: ClipKind, encoder: string): Promise<StepsRun> {
  const source = fileAt(await clips.path(kind));
  const rungs = [1080, 96].map((lines) => ({ lines, maxBitrateBps: 0 }));
  const video = { encoder, crf: 30, preset: 'veryfast', width: 0, height: 0, threads: 1 };
  const wanted = { name: 'web', container: '', pieceMs: 1500, rungs, video };
  return runSteps(chain, ladderSteps({ source, ...wanted, packaging: PACKAGING }));
}

/** Of each frame that ffmpeg decodes: its time from the first on, in ticks of 1/90000, and its picture. */
async function decoded(path: string): Promise<string[]> {
  // A manifest of subtitles too.
  const any = path.endsWith('.mpd') ? ['-allowed_extensions', 'ALL'] : [];
  const list = ['-v', 'error', ...any, '-noautorotate', '-i', path];
  const output = ['-map', '0:v:0', '-fps_mode', 'passthrough', '-enc_time_base', '1/90000'];
  const small = ['-vf', 'scale=16:16', '-f', 'framecrc', '-'];
  const { stdout, stderr } = await run('ffmpeg', [...list, ...output, ...small]);
  expect(stderr).toBe('');
  const frames = stdout.split('\n').filter((line) => /^\d/.test(line));
  const times = frames.map((line) => Number(line.split(',')[2]));
  return frames.map((line, i) => `${times[i]! - times[0]!} ${line.split(',').at(-1)!}`);
}

const FILES = ['96p.m3u8', '96p.mp4', 'manifest.mpd', 'master.m3u8'];
const SOUND = ['audio-1.m3u8', 'audio-1.mp4'];

test.each<[ClipKind, string, readonly string[]]>([
  [
    'everything',
    'libx264',
    [...FILES, ...SOUND, 'audio-2.m3u8', 'audio-2.mp4', 'subtitles-1.m3u8', 'subtitles-1.vtt'],
  ],
  ['variable-rate', 'libx265', [...FILES, ...SOUND]],
])('%s in %s plays from playlist and manifest', async (kind, encoder, files) => {
  const made = await packaged(kind, encoder);
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(made.outputs('package').toSorted()).toEqual(files.map((name) => `web/${name}`).toSorted());
  const film = await decoded(made.path('concat-96p', 'web-96p.mp4'));
  for (const name of ['master.m3u8', '96p.m3u8', 'manifest.mpd', '96p.mp4']) {
    const frames = await decoded(made.path('package', `web/${name}`));
    expect({ name, frames }).toEqual({ name, frames: film });
  }
  if (kind !== 'everything') return;
  const faults = [
    ['subtitles-1.vtt', /subtitles-1\.vtt is no WebVTT/],
    ['96p.mp4', /96p\.mp4 (has other packets|is not whole)|segment .* by itself/],
    ['audio-2.mp4', /audio-2\.mp4 has other packets/],
  ] as const;
  for (const [name, message] of faults) {
    const outcome = await provenWith(made, name);
    expect(outcome).toMatchObject({ kind: 'bad-output', message: expect.stringMatching(message) });
  }
});

/** The proof once more, of a package of which one file has another byte. */
async function provenWith(made: StepsRun, name: string): Promise<RunOutcome> {
  const directory = await mkdtemp(join(chain.root, 'fault-'));
  await mkdir(join(directory, 'web'));
  await cp(made.path('split', 'plan.json'), join(directory, 'plan.json'));
  await cp(made.path('concat-96p', 'web-96p.mp4'), join(directory, 'web-96p.mp4'));
  await cp(made.path('package', 'web'), join(directory, 'web'), { recursive: true });
  const bytes = await readFile(join(directory, 'web', name));
  const at = name.endsWith('.mp4') ? bytes.length - 100 : 1;
  bytes[at] = (bytes[at] ?? 0) ^ 0x15;
  await writeFile(join(directory, 'web', name), bytes);
  const value = { name: 'web', films: [{ film: 'web-96p.mp4', lines: 96 }], packaging: PACKAGING };
  const work = unitWork(directory, { $case: 'provePackage', value }, 'proof-package');
  return runnerRegistry.get('provePackage')!.run(work, chain.context([]));
}
