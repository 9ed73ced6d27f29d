import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips, frameSeconds, probeLines } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { upscaler } from '../../support/model-tree.ts';
import { nearestModel } from '../../support/onnx-models.ts';

describe('a film through a model', () => {
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

  test('first', async () => {
    const file = nearestModel(2);
    const made = await chain.transcode(await clips.path('variable-rate'), {
      upscale: { model: upscaler(file), file },
    });
    console.log(
      made.outcome,
      [...made.runs.entries()].map(([n, r]) => [n, r.log, r.progress.at(-1)]),
    );
    expect(made.outcome).toEqual({ state: 'succeeded' });
    console.log(await probeLines(made.film, 'v:0', 'stream=width,height,codec_name'));
    void frameSeconds;
  });
});
