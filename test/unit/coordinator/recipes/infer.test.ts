import { expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { type InferRequest, inferSteps } from '../../../../coordinator/recipes/infer.ts';
import { fileNamed } from '../../../support/farm-driver.ts';
import { knownModels, MANIFEST, manifestFrom } from '../../../support/models.ts';

const detect = manifestFrom({
  kind: 'detect',
  width: 64,
  height: 64,
  fit: 'stretch',
  outputForm: 'yolox',
});
const classify = manifestFrom({
  kind: 'classify',
  width: 64,
  height: 64,
  fit: 'stretch',
  outputForm: 'logits',
});
const MODELS = knownModels({ things: detect, kinds: classify, large: MANIFEST });

const pictures = { list: fileNamed('list'), count: 59_000, filesBytes: 59e8 };
const request: InferRequest = {
  source: { $case: 'pictures', value: pictures },
  model: 'things',
  batch: 0,
  most: 0,
  everyMs: 0,
  perUnit: 0,
  provider: '',
  vramBytes: 0,
};

function stepsOf(over: Partial<InferRequest>): readonly StepSpec[] {
  const plan = inferSteps({ ...request, ...over }, MODELS, () => 2);
  if (plan.state === 'invalid') throw new Error(plan.message);
  expect(faultOfSteps(plan.steps)).toBeUndefined();
  return plan.steps;
}

function faultOf(over: Partial<InferRequest>): string {
  const plan = inferSteps({ ...request, ...over }, MODELS, () => 2);
  return plan.state === 'invalid' ? plan.message : '';
}

test('pictures: a step over the list, joined and proven', () => {
  const steps = stepsOf({});
  expect(steps.map(({ name }) => name)).toEqual(['infer', 'join', 'proof']);
  const [look, join, proof] = steps;
  expect(look?.parameters?.kind).toEqual({
    $case: 'fileList',
    value: { ...pictures, perUnit: 1_018 },
  });
  expect(look?.demand?.attributes).toEqual(['tool:ffmpeg', 'onnx:cpu']);
  expect(join?.outputs.map(({ pattern, keep }) => [pattern, keep])).toEqual([
    ['results.jsonl', true],
    ['failures.csv', true],
    ['summary.json', true],
  ]);
  expect(proof?.outputs).toEqual([{ pattern: 'proof.json', keep: true, optional: false }]);
  const [asked] = stepsOf({ perUnit: 10 });
  expect(asked?.parameters?.kind?.value).toMatchObject({ perUnit: 10 });
  // No unit is given more pictures than there are.
  const three = { ...pictures, count: 3, filesBytes: 300 };
  const few = stepsOf({ source: { $case: 'pictures', value: three } });
  expect(few[0]?.parameters?.kind?.value).toMatchObject({ perUnit: 3 });
});

test('a table, with or without the lines that prove it', () => {
  const outputsOf = (format: string) => {
    const [, join, proof] = stepsOf({ format });
    const read = proof?.inputs.flatMap(({ kind }) =>
      kind?.$case === 'outputs' ? [kind.value.pattern] : [],
    );
    expect(read).toEqual(['results.jsonl', 'results.parquet', 'summary.json']);
    expect(join?.task?.kind).toMatchObject({ $case: 'joinResults', value: { format } });
    expect(proof?.task?.kind).toMatchObject({ $case: 'proveResults', value: { format } });
    return join?.outputs.map(({ pattern, keep }) => [pattern, keep]);
  };
  const rest = [
    ['failures.csv', true],
    ['summary.json', true],
  ];
  expect(outputsOf('parquet')).toEqual([
    ['results.jsonl', false],
    ['results.parquet', true],
    ...rest,
  ]);
  expect(outputsOf('both')).toEqual([['results.jsonl', true], ['results.parquet', true], ...rest]);
});

test('a film: pieces are looked at as they are cut', () => {
  const source = { $case: 'film', value: fileNamed('a/street.mp4') } as const;
  const steps = stepsOf({ source, everyMs: 1_000 });
  expect(steps.map(({ name }) => name)).toEqual(['split', 'infer', 'join', 'proof']);
  expect(steps[1]?.task?.kind).toMatchObject({ $case: 'inferFrames', value: { everyMs: 1_000 } });
});

test('what is left open follows from the model', () => {
  const lookingOf = (over: Partial<InferRequest>) => {
    const task = stepsOf(over)[0]?.task?.kind;
    return task?.$case === 'inferPictures' ? task.value.looking : undefined;
  };
  expect(lookingOf({})).toMatchObject({ threshold: 0.3, most: 100, provider: 'cpu', batch: 0 });
  expect(lookingOf({ model: 'kinds' })).toMatchObject({ threshold: 0, most: 5 });
  expect(lookingOf({ threshold: 0 })).toMatchObject({ threshold: 0 });
  const [onGpu] = stepsOf({ vramBytes: 2 ** 30 });
  expect(onGpu?.demand).toMatchObject({ gpus: 1, vramBytes: 2 ** 30 });
  expect(onGpu?.demand?.attributes).toContain('onnx:cuda');
});

test('what is wrong is said', () => {
  expect(faultOf({ model: '' })).toBe(
    'no model is named: those to detect or classify are kinds, things',
  );
  expect(faultOf({ model: 'large' })).toMatch(/is one to upscale: those to detect or classify are/);
  expect(faultOf({ source: undefined })).toBe('nothing to look at: give pictures or a film');
  expect(faultOf({ threshold: 1.5 })).toBe('threshold 1.5 is not from 0 to 1');
  expect(faultOf({ batch: 5_000 })).toBe('batch 5000 is not from 0 to 1024');
  expect(faultOf({ everyMs: 5 })).toMatch(/pictures have no time/);
  expect(faultOf({ provider: 'abacus' })).toMatch(/none of cpu, cuda/);
  expect(faultOf({ format: 'csv' })).toBe('format "csv" is not known: use jsonl, parquet or both');
  const none = { $case: 'pictures', value: { ...pictures, count: 0 } } as const;
  expect(faultOf({ source: none })).toBe('there are no pictures: give at least one');
});
