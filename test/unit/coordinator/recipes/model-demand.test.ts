import { expect, test } from 'vitest';
import { ramOfModel, withModel } from '../../../../coordinator/recipes/model-demand.ts';
import { inferSteps } from '../../../../coordinator/recipes/infer.ts';
import type { ChosenModel } from '../../../../coordinator/recipes/models.ts';
import { fileInput } from '../../../../coordinator/recipes/recipe.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { knownModels, MANIFEST, manifestFrom } from '../../../support/models.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const SHA256 = 'ab'.repeat(32);

function chosen(pixelBytes?: number, baseBytes = 200 * MIB, provider = 'cpu'): ChosenModel {
  const file = { name: 'model.onnx', sha256: SHA256, sizeBytes: 4 * MIB };
  const known = { sha256: SHA256, provider, baseBytes };
  return {
    state: 'ok',
    unit: { name: 'm', file: 'model.onnx', sha256: SHA256, manifest: MANIFEST },
    input: fileInput(file),
    sizeBytes: file.sizeBytes,
    memory: pixelBytes === undefined ? [] : [{ ...known, pixelBytes }],
  };
}

const ramOf = (model: ChosenModel, provider = 'cpu'): number =>
  withModel(NO_DEMAND, model, provider).ramBytes;

test('a light model needs less than was guessed, a heavy one more', () => {
  const guessed = ramOf(chosen());
  expect(ramOf(chosen(150))).toBeLessThan(guessed * 0.6);
  expect(ramOf(chosen(3_000))).toBeLessThanOrEqual(guessed);
  expect(ramOf(chosen(25_000))).toBeGreaterThan(guessed * 1.2);
});

test('a model that is large when it is loaded needs that, too', () => {
  expect(ramOf(chosen(150, 3 * GIB)) - ramOf(chosen(150))).toBeGreaterThan(2.8 * GIB);
});

test('a figure that is wrong by far keeps no unit from every machine', () => {
  expect(ramOf(chosen(2 ** 24))).toBeLessThan(3 * GIB);
});

test('what was seen on a processor says nothing of a GPU', () => {
  const onGpu = withModel(NO_DEMAND, chosen(150), 'cuda');
  expect(onGpu).toEqual(withModel(NO_DEMAND, chosen(), 'cuda'));
  const known = withModel(NO_DEMAND, chosen(150, 500 * MIB, 'cuda'), 'cuda');
  expect(known.vramBytes).toBeLessThan(onGpu.vramBytes);
  expect(known.gpus).toBe(1);
});

test('of pictures that cannot be cut as many are counted as go through it at once', () => {
  const guess = { baseBytes: 0, picturesBytes: 512 * MIB };
  const one = ramOfModel(chosen(1_000), 'cpu', 640 * 640, guess);
  const four = ramOfModel(chosen(1_000), 'cpu', 4 * 640 * 640, guess);
  expect(four - one).toBeGreaterThan(3 * 640 * 640 * 1_000);
});

test('looking at pictures demands what the model was seen to take', () => {
  const manifest = manifestFrom({
    kind: 'detect',
    width: 640,
    height: 640,
    fit: 'stretch',
    outputForm: 'yolox',
  });
  const models = knownModels({ things: manifest });
  const [name, model] = [...models][0]!;
  const memory = [{ sha256: model.file.sha256, provider: 'cpu', pixelBytes: 300, baseBytes: 0 }];
  const list = { name: 'l', sha256: SHA256, sizeBytes: 100 };
  const source = { $case: 'pictures', value: { list, count: 5, filesBytes: 500 } } as const;
  const rest = { batch: 0, most: 0, everyMs: 0, perUnit: 0, provider: '', vramBytes: 0 };
  const ramWith = (known: typeof models): number => {
    const plan = inferSteps({ source, model: name, ...rest }, known, () => 0);
    if (plan.state === 'invalid') throw new Error(plan.message);
    return plan.steps[0]!.demand!.ramBytes;
  };
  expect(ramWith(new Map([[name, { ...model, memory }]]))).toBeLessThan(ramWith(models));
});
