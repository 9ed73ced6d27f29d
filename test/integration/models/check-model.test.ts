/** A model tried once by a real worker: what it is and made, or what its manifest has wrong. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkModelRunner } from '../../../agent/runners/check-model.ts';
import type { RunOutcome } from '../../../agent/runners/runner.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { manifestFrom } from '../../support/models.ts';
import { blendModel, nanModel, nearestModel } from '../../support/onnx-models.ts';

let chain: FilmChain;
beforeAll(async () => {
  chain = await FilmChain.open();
});
afterAll(() => chain.close());

const UPSCALE = { kind: 'upscale', scale: 2, halo: 0 };
const DETECT = { kind: 'detect', width: 64, height: 64, fit: 'stretch', outputForm: 'yolox' };
const PAIR = { kind: 'interpolate', pairLayout: 'concat7', timestep: 'plane' };

async function check(file: Buffer, manifest: object): Promise<[RunOutcome, unknown]> {
  const sha256 = createHash('sha256').update(file).digest('hex');
  const model = { name: 'made', file: 'model.onnx', sha256, manifest: manifestFrom(manifest) };
  const value = { use: { model, provider: 'cpu' }, width: 64, height: 48 };
  let directory = '';
  const outcome = await chain.attempt(checkModelRunner, { $case: 'checkModel', value }, (made) => {
    directory = made;
    return writeFile(join(made, 'model.onnx'), file);
  });
  const found = await readFile(join(directory, 'check-cpu.json'), 'utf8').catch(() => 'null');
  return [outcome, JSON.parse(found)];
}

test('what it takes and makes is written down', async () => {
  const [outcome, found] = await check(nearestModel(2), UPSCALE);
  expect(outcome).toEqual({ state: 'succeeded' });
  expect(found).toMatchObject({
    model: 'made',
    provider: 'cpu',
    width: 64,
    height: 48,
    inputs: [{ name: 'x', type: 'float32', shape: [1, 3, 'h', 'w'] }],
    outputs: [{ name: 'y', dims: [1, 3, 96, 128] }],
  });
  const [pair, frames] = await check(blendModel(), PAIR);
  expect(pair).toEqual({ state: 'succeeded' });
  expect(frames).toMatchObject({ outputs: [{ dims: [1, 3, 48, 64] }] });
});

test.each<[string, Buffer, object, string, string]>([
  ['the wrong scale', nearestModel(3), UPSCALE, 'invalid-input', 'its manifest says scale 2'],
  ['another kind', blendModel(), UPSCALE, 'invalid-input', 'mend the manifest'],
  ['channels last', nearestModel(2, [1, 'h', 'w', 3]), UPSCALE, 'invalid-input', 'channels first'],
  // What a job that looks at pictures would find wrong, too.
  ['another size', nearestModel(2, [1, 3, 9, 9]), DETECT, 'invalid-input', 'pictures of 9x9'],
  ['another form', nearestModel(2), DETECT, 'invalid-input', 'YOLOX at 64x64 makes'],
  ['no numbers', nanModel(2), UPSCALE, 'bad-output', 'no numbers'],
])('%s fails in one line, and leaves nothing', async (_what, file, manifest, kind, line) => {
  const [outcome, found] = await check(file, manifest);
  const message = expect.stringContaining(line) as string;
  expect(outcome).toMatchObject({ state: 'failed', kind, message });
  expect(found).toBeNull();
});
