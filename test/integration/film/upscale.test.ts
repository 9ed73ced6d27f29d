/** Films of awkward kinds through a model: the source's frames, at its times, in its colours, larger. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClipKind, Clips, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { hasSharedModels, realModel, upscaler } from '../../support/model-tree.ts';
import { nearestModel } from '../../support/onnx-models.ts';

const run = promisify(execFile);

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

interface Case {
  readonly kind: ClipKind;
  readonly scale?: number;
  readonly encoder?: string;
  readonly size: string;
}

const CODECS: Readonly<Record<string, string>> = { libx264: 'h264', libsvtav1: 'av1' };

test.each<Case>([
  { kind: 'variable-rate', size: '640,360' },
  { kind: 'rotated', size: '360,640' },
  { kind: 'ten-bit', size: '640,360' },
  // Its container counts thousandths of a second: of frames too large to probe, this encoder would take them for each.
  { kind: 'ten-bit', size: '1280,720', scale: 4, encoder: 'libsvtav1' },
])('$kind $encoder', async ({ kind, size, scale = 2, encoder = 'libx264' }) => {
  const file = nearestModel(scale);
  const clip = await clips.path(kind);
  const video = { encoder, preset: encoder === 'libsvtav1' ? '10' : 'veryfast' };
  const made = await chain.transcode(clip, {
    upscale: { model: upscaler(file, { scale }), file },
    video,
  });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(made.film, 'v:0', 'stream=width,height')).toEqual([size]);
  expect(await probeLines(made.film, 'v:0', 'stream=codec_name')).toEqual([CODECS[encoder]]);
  expect(await likeness(clip, made.film, size)).toBeGreaterThan(30);
});

test.skipIf(!hasSharedModels)(
  'a model of brightness alone: colour is scaled beside it',
  async () => {
    const clip = await clips.path('one-frame');
    const made = await chain.transcode(clip, { upscale: realModel('espcn') });
    expect(made.outcome).toEqual({ state: 'succeeded' });
    expect(await probeLines(made.film, 'v:0', 'stream=width,height')).toEqual(['960,540']);
    expect(await likeness(clip, made.film, '960,540')).toBeGreaterThan(26);
  },
);

/** PSNR of the film against its source scaled to the same size, over all frames and colours; decibels. */
async function likeness(source: string, film: string, size: string): Promise<number> {
  const scaled = `[0:v]scale=${size.replace(',', ':')}:flags=bicubic,format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]psnr`;
  const argv = ['-i', source, '-i', film, '-lavfi', scaled, '-f', 'null', '-'];
  const { stderr } = await run('ffmpeg', ['-hide_banner', ...argv]);
  const found = /average:([\d.]+|inf)/.exec(stderr)?.[1] ?? '0';
  return found === 'inf' ? 100 : Number(found);
}
