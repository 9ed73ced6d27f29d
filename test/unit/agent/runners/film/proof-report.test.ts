import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { ChunkSeal } from '../../../../../agent/runners/film/chunk-seal.ts';
import type { FilmPlan } from '../../../../../agent/runners/film/film-plan.ts';
import { writeProof } from '../../../../../agent/runners/film/proof-report.ts';
import type { MediaStream } from '../../../../../agent/runners/film/source-facts.ts';
import { packTimes } from '../../../../../agent/runners/film/timeline.ts';
import { parseProof, type ProofFacts } from '../../../../../kit/proof-report.ts';

const SHA = 'a'.repeat(64);
const FILM = { name: 'film.mp4', sizeBytes: 5, sha256: SHA };
const TIMES = [0, 1, 2, 3];
const TIME_BASE = { num: 1, den: 25 };

function planOf(source: Partial<FilmPlan['source']>, change: Partial<FilmPlan> = {}): FilmPlan {
  const pieces = [0, 2].map((firstFrame, i) => ({
    name: `piece-0000${i}.nut`,
    firstFrame,
    frames: 2,
    timeBase: TIME_BASE,
    shiftTicks: 0,
  }));
  return {
    version: 1,
    source: {
      name: 'clip.mov',
      stream: 0,
      codec: 'prores',
      width: 64,
      height: 36,
      pixelFormat: 'yuv420p',
      frameRate: '25/1',
      orientation: [1, 0, 0, 1],
      colour: { range: '', space: '', transfer: '', primaries: '' },
      masteringDisplay: '',
      contentLight: '',
      audioTracks: 0,
      ...source,
    },
    timeBase: TIME_BASE,
    frames: TIMES.length,
    times: packTimes(TIMES),
    videoDelayUs: 0,
    lastFrameTicks: 1,
    mode: 'cut',
    pieces,
    ...change,
  };
}

const seal = (piece: string, change: Partial<ChunkSeal> = {}): ChunkSeal => ({
  version: 1,
  piece,
  frames: 2,
  packetsSha256: SHA,
  orderSha256: SHA,
  extradataHash: 'MD5:c3',
  width: 64,
  height: 36,
  pixelFormat: 'yuv420p',
  meanDifference: 1,
  worstDifference: 2,
  ...change,
});

const SEALS = [seal('piece-00000.nut'), seal('piece-00001.nut')];
const H264: MediaStream = { index: 0, codec_name: 'h264', pix_fmt: 'yuv420p' };

/** What the report says beyond its checks. */
async function factsOf(
  plan: FilmPlan,
  picture: MediaStream = H264,
  seals: readonly ChunkSeal[] = SEALS,
): Promise<ProofFacts> {
  const directory = mkdtempSync(join(tmpdir(), 'furrow-proof-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const checks = [{ check: 'frames', expected: 4, found: 4 }];
  await writeProof(directory, FILM, picture, plan, seals, checks);
  return parseProof(readFileSync(join(directory, 'proof.json'), 'utf8'))!.facts;
}

test('a film that has all of its source needs no remark', async () => {
  const facts = await factsOf(planOf({}));
  expect(facts).toMatchObject({ frames: 4, chunks: 2 });
  expect(facts).not.toHaveProperty('remarks');
  expect(facts).not.toHaveProperty('sourceDamage');
});

test('fields that the film has not are remarked on, unless they were made whole or the film names them', async () => {
  const interlaced = planOf({ interlaced: true });
  const remark = { remarks: { fields: expect.stringContaining('--deinterlace auto') } };
  expect(await factsOf(interlaced, { ...H264, field_order: 'progressive' })).toMatchObject(remark);
  expect(await factsOf(interlaced)).toMatchObject(remark);
  const named = await factsOf(interlaced, { ...H264, field_order: 'tt' });
  expect(named).not.toHaveProperty('remarks');
  const deinterlace = { parity: 'tff', eachField: false } as const;
  const whole = planOf({ interlaced: true }, { deinterlace });
  expect(await factsOf(whole)).not.toHaveProperty('remarks');
});

test.each(['yuva444p10le', 'rgba', 'gbrapf32le', 'ya8'])(
  'so is transparency: %s',
  async (format) => {
    const facts = await factsOf(planOf({ pixelFormat: format }));
    expect(facts).toMatchObject({
      remarks: { alpha: 'the source is transparent in places, and h264 is not' },
    });
    const kept = await factsOf(planOf({ pixelFormat: format }), { ...H264, pix_fmt: 'yuva420p' });
    expect(kept).not.toHaveProperty('remarks');
  },
);

test('a palette is taken to have none, and grey is no alpha', async () => {
  for (const pixelFormat of ['pal8', 'gray10le', 'yuv422p10le', 'gbrp']) {
    expect(await factsOf(planOf({ pixelFormat }))).not.toHaveProperty('remarks');
  }
});

test('damage of the source is told with its place, and the encoder that stood in with its reason', async () => {
  const fallback = 'in place of h264_nvenc: no device';
  const facts = await factsOf(planOf({}), H264, [
    seal('piece-00000.nut', { encoder: 'libx264', fallback }),
    seal('piece-00001.nut', { encoder: 'libx264', fallback, sourceDamage: 'error while decoding' }),
  ]);
  expect(facts).toMatchObject({
    encoder: 'libx264',
    fallback,
    sourceDamage: 'in 1 of 2 chunks, first in the one from 00:00:00.080: error while decoding',
  });
});
