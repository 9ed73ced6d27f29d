import { expect, test } from 'vitest';
import { chooseModel, MODEL_FILE } from '../../../../coordinator/recipes/models.ts';
import { knownModels, MANIFEST, manifestFrom } from '../../../support/models.ts';

const PAIR = manifestFrom({ kind: 'interpolate', pairLayout: 'split', timestep: 'scalar' });
const models = knownModels({ rife: PAIR, anime: MANIFEST, photo: MANIFEST });

test('a step is given the model as an input and what it must know of it', () => {
  const chosen = chooseModel(models, 'anime', 'upscale');
  const file = models.get('anime')!.file;
  expect(chosen).toEqual({
    state: 'ok',
    unit: { name: 'anime', file: MODEL_FILE, sha256: file.sha256, manifest: MANIFEST },
    input: { kind: { $case: 'file', value: { ...file, name: MODEL_FILE } } },
    sizeBytes: file.sizeBytes,
    memory: [],
  });
});

test.each([
  ['x', 'the farm has no model named "x": those to upscale are anime, photo'],
  ['', 'no model is named: those to upscale are anime, photo'],
  ['rife', 'the model "rife" is one to interpolate: those to upscale are anime, photo'],
])('%j is refused in one line that names those that there are', (name, message) => {
  expect(chooseModel(models, name, 'upscale')).toEqual({ state: 'invalid', message });
});

test('where there is none, the line says how to add one', () => {
  expect(chooseModel(new Map(), 'x', 'detect', 'classify')).toEqual({
    state: 'invalid',
    message:
      'the farm has no model named "x": it has none to detect or classify yet, add one with furrow models add FILE --manifest FILE.json',
  });
});
