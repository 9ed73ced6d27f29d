/** Films that come out at so many bits a second, or so like their source, measured on the film alone. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Clips, frameNumbers, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';

const run = promisify(execFile);

async function bitrate(film: string): Promise<number> {
  const sizes = (await probeLines(film, 'v:0', 'packet=size')).map((line) => Number.parseInt(line));
  return (sizes.reduce((sum, size) => sum + size, 0) * 8 * 25) / sizes.length;
}

async function ssim(film: string, source: string): Promise<number> {
  const graph = '[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]ssim';
  const args = ['-nostdin', '-i', film, '-i', source, '-filter_complex', graph, '-f', 'null', '-'];
  return Number(/SSIM.* All:([\d.]+)/.exec((await run('ffmpeg', args)).stderr)?.[1]);
}

describe('a film with an aim', () => {
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
  afterEach(() => chain.refuseRunning());

  test.each([
    ['libx264', 'veryfast', 300_000],
    ['libx265', 'ultrafast', 300_000],
  ])('%s: so many bits a second, in two passes across pieces', async (encoder, preset, wanted) => {
    const source = await clips.path('open-gop');
    const video = { encoder, preset, bitrateBps: wanted };
    // Over fewer frames encoders miss it themselves.
    const made = await chain.transcode(source, { video, pieceMs: 2000 });
    expect(made).toMatchObject({ step: 'proof', outcome: { state: 'succeeded' } });
    expect(Math.abs((await bitrate(made.film)) / wanted - 1)).toBeLessThan(0.1);
    expect(await frameNumbers(made.film)).toEqual(await frameNumbers(source));
    const proof = await readFile(join(made.directory, 'proof.json'), 'utf8');
    expect(proof).toContain('bits a second of the picture');
  });

  test('so like its source', async () => {
    const source = await clips.path('closed-gop');
    const video = { preset: 'ultrafast', targetSsim: 0.97 };
    const made = await chain.transcode(source, { video });
    expect(made).toMatchObject({ step: 'proof', outcome: { state: 'succeeded' } });
    const found = await ssim(made.film, source);
    expect(found).toBeGreaterThan(0.965);
    // Not better than need be either: one step of quality is less than this.
    expect(found).toBeLessThan(0.98);
    const proof = await readFile(join(made.directory, 'proof.json'), 'utf8');
    expect(proof).toMatch(/SSIM of samples, at crf \d+/);
  });
});
