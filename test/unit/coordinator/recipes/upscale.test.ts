import { expect, test } from 'vitest';
import { upscaleSteps, type UpscaleRequest } from '../../../../coordinator/recipes/upscale.ts';
import { knownModels, MANIFEST, manifestFrom } from '../../../support/models.ts';

const models = knownModels({
  anime: MANIFEST,
  rife: manifestFrom({ kind: 'interpolate', pairLayout: 'split', timestep: 'scalar' }),
});
const source = { name: 'clip.mov', sha256: 'ab'.repeat(32), sizeBytes: 10_000_000 };
const list = { name: 'files.list', sha256: 'cd'.repeat(32), sizeBytes: 500 };

const FILM: UpscaleRequest = {
  source,
  model: 'anime',
  scale: 0,
  film: '',
  pieceMs: 0,
  provider: '',
  cpus: 0,
  ramBytes: 0,
  vramBytes: 0,
  format: '',
  quality: 0,
  perUnit: 0,
};

function stepsOf(request: Partial<UpscaleRequest> = {}) {
  const plan = upscaleSteps({ ...FILM, ...request }, models);
  if (plan.state === 'invalid') throw new Error(plan.message);
  return plan.steps;
}

test('a film goes the way of every film, with the model where others encode', () => {
  const steps = stepsOf({ scale: 4 });
  expect(steps.map(({ name }) => name)).toEqual(['split', 'encode', 'audio', 'concat', 'proof']);
  const chunk = steps[1]!;
  expect(chunk.task?.kind).toMatchObject({
    $case: 'upscale',
    value: { use: { model: { name: 'anime', file: 'model.onnx' }, provider: 'cpu' } },
  });
  expect(chunk.demand).toMatchObject({ cpuMillis: 2000, gpus: 0 });
  expect(chunk.demand?.attributes).toContain('onnx:cpu');
  expect(chunk.inputs.at(-1)).toMatchObject({ kind: { value: { name: 'model.onnx' } } });
});

test('memory of a GPU books one, and no other provider stands in', () => {
  const { demand } = stepsOf({ vramBytes: 6e9, ramBytes: 3e9, cpus: 1 })[1]!;
  expect(demand).toMatchObject({ gpus: 1, vramBytes: 6e9, ramBytes: 3e9, cpuMillis: 1000 });
  expect(demand?.attributes).toContain('onnx:cuda');
});

test('pictures: a unit for each, or for a few', () => {
  const pictures = { list, count: 100, filesBytes: 5_000_000 };
  const [step, ...rest] = stepsOf({ source: undefined, pictures, perUnit: 4, format: 'webp' });
  expect(rest).toEqual([]);
  expect(step?.parameters?.kind).toMatchObject({
    $case: 'fileList',
    value: { perUnit: 4, count: 100 },
  });
  expect(step?.task?.kind).toMatchObject({ $case: 'upscaleImages', value: { format: 'webp' } });
});

test.each<[Partial<UpscaleRequest>, RegExp]>([
  [{ model: 'other' }, /no model named "other".*anime/],
  [{ model: 'rife' }, /is one to interpolate/],
  [{ scale: 2 }, /4 times as large, not 2/],
  [{ provider: 'gpu' }, /provider "gpu" is not known/],
  [{ ramBytes: 1000 }, /too little for any model/],
  [{ cpus: 65 }, /cpus 65 is out of range/],
  [{ source: undefined }, /source is missing/],
  [{ pictures: { list, count: 1, filesBytes: 1 } }, /not both/],
  [{ source: undefined, pictures: { list, count: 0, filesBytes: 0 } }, /no pictures/],
  [
    { source: undefined, pictures: { list, count: 1, filesBytes: 1 }, format: 'gif' },
    /"gif" is not/,
  ],
])('%o is refused', (request, message) => {
  const plan = upscaleSteps({ ...FILM, ...request }, models);
  expect(plan).toMatchObject({
    state: 'invalid',
    message: expect.stringMatching(message) as string,
  });
});
