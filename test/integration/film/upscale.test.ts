/** Films of awkward kinds through a model: the source's frames, at its times, in its colours, larger. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  readonly size: string;
}

test.each<Case>([
  { kind: 'variable-rate', size: '640,360' },
  { kind: 'rotated', size: '360,640' },
  { kind: 'ten-bit', size: '640,360' },
])('$kind', async ({ kind, size }) => {
  const file = nearestModel(2);
  const clip = await clips.path(kind);
  const made = await chain.transcode(clip, { upscale: { model: upscaler(file), file } });
  expect(made.outcome).toEqual({ state: 'succeeded' });
  expect(await probeLines(made.film, 'v:0', 'stream=width,height')).toEqual([size]);
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

test('HDR is refused, for models know eight bits', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-hdr-'));
  const clip = join(folder, 'hdr.mkv');
  const source = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=64x48:rate=5'];
  const coding = ['-frames:v', '2', '-pix_fmt', 'yuv420p10le', '-c:v', 'libx265'];
  const colour = [
    '-color_trc',
    'smpte2084',
    '-color_primaries',
    'bt2020',
    '-colorspace',
    'bt2020nc',
  ];
  await run('ffmpeg', [source, coding, '-x265-params', 'log-level=none', colour, clip].flat());
  const file = nearestModel(2);
  const made = await chain.transcode(clip, { upscale: { model: upscaler(file), file } });
  await rm(folder, { recursive: true });
  expect(made.outcome).toMatchObject({ kind: 'invalid-input' });
  expect(made.outcome).toMatchObject({
    message: expect.stringMatching(/HDR \(smpte2084\).*SDR film/) as string,
  });
});

/** PSNR of the film against its source scaled to the same size, over all frames and colours; decibels. */
async function likeness(source: string, film: string, size: string): Promise<number> {
  const scaled = `[0:v]scale=${size.replace(',', ':')}:flags=bicubic,format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]psnr`;
  const argv = ['-i', source, '-i', film, '-lavfi', scaled, '-f', 'null', '-'];
  const { stderr } = await run('ffmpeg', ['-hide_banner', ...argv]);
  const found = /average:([\d.]+|inf)/.exec(stderr)?.[1] ?? '0';
  return found === 'inf' ? 100 : Number(found);
}
