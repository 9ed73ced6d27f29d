import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { checkModelSteps } from '../../../../coordinator/recipes/check-model.ts';
import {
  type InterpolateRequest,
  interpolateSteps,
} from '../../../../coordinator/recipes/interpolate.ts';
import { MODEL_FILE } from '../../../../coordinator/recipes/models.ts';
import { knownModels, MANIFEST, manifestFrom } from '../../../support/models.ts';

const PAIR = { kind: 'interpolate', pairLayout: 'split' };
const models = knownModels({
  rife: manifestFrom({ ...PAIR, timestep: 'scalar' }),
  halves: manifestFrom({ ...PAIR, timestep: 'none' }),
  anime: MANIFEST,
});
const REQUEST: InterpolateRequest = {
  source: { name: 'clip.mov', sha256: 'a'.repeat(64), sizeBytes: 5_000_000 },
  model: 'rife',
  factor: 0,
  fps: '',
  film: '',
  pieceMs: 0,
  provider: '',
};

function stepsOf(over: Partial<InterpolateRequest> = {}) {
  const plan = interpolateSteps({ ...REQUEST, ...over }, models);
  if (plan.state === 'invalid') throw new Error(plan.message);
  return new Map(plan.steps.map((step) => [step.name, step]));
}

describe('interpolate', () => {
  test('is a film chain whose chunks a model makes', () => {
    const steps = stepsOf();
    expect([...steps.keys()]).toEqual(['split', 'encode', 'audio', 'concat', 'proof']);
    expect(faultOfSteps([...steps.values()])).toBeUndefined();
    expect(steps.get('split')?.task?.kind).toMatchObject({
      value: { retime: { factor: 2, rateNum: 0, rateDen: 0, between: true }, tailFrames: 2 },
    });
    const chunks = steps.get('encode')!;
    const model = models.get('rife')!;
    expect(chunks.task?.kind).toMatchObject({
      $case: 'interpolate',
      value: { use: { model: { name: 'rife', sha256: model.file.sha256 }, provider: 'cpu' } },
    });
    expect(chunks.inputs).toContainEqual({
      kind: { $case: 'file', value: { ...model.file, name: MODEL_FILE } },
    });
    expect(chunks.demand?.attributes).toContain('onnx:cpu');
    expect(chunks.demand?.attributes).toContain('encoder:libx264');
  });

  test('a rate is exact, and a GPU’s provider wants a GPU', () => {
    const steps = stepsOf({ fps: '60000/1001', provider: 'cuda' });
    expect(steps.get('split')?.task?.kind).toMatchObject({
      value: { retime: { factor: 0, rateNum: 60_000, rateDen: 1001, between: true } },
    });
    expect(steps.get('encode')?.demand).toMatchObject({ gpus: 1 });
  });

  test('who smooths short runs sees what is around its piece', () => {
    const steps = stepsOf({ smoothDuplicates: true });
    expect(steps.get('split')?.task?.kind).toMatchObject({
      value: { leadFrames: 7, tailFrames: 12 },
    });
    const value = { smoothDuplicates: true };
    expect(steps.get('encode')?.task?.kind).toMatchObject({ value });
    expect(stepsOf().get('encode')?.task?.kind).not.toMatchObject({ value });
  });

  test('a model that is not told the time halves as often as need be', () => {
    expect(stepsOf({ model: 'halves', factor: 8 }).size).toBe(5);
  });

  const sized = { encoder: '', crf: 0, preset: '', width: 640, height: 0, threads: 0 };
  test.each<[Partial<InterpolateRequest>, string]>([
    [{ model: 'none' }, 'no model named "none": those to interpolate are halves, rife'],
    [{ model: 'anime' }, 'the model "anime" is one to upscale'],
    [{ factor: 17 }, 'factor 17 is out of range: use 2 to 16'],
    [{ factor: 2, fps: '60' }, 'not both'],
    [{ fps: 'fast' }, 'fps "fast" is no frame rate'],
    [{ model: 'halves', factor: 3 }, 'use factor 2, 4, 8 or 16'],
    [{ model: 'halves', fps: '60' }, 'use factor 2, 4, 8 or 16'],
    [{ provider: 'abacus' }, 'provider "abacus" is not known'],
    [{ video: sized }, 'keeps the size of the film'],
    [{ film: 'x.avi' }, 'must end in .mp4'],
    [{ source: undefined }, 'source is missing'],
  ])('refuses %j in one line', (over, line) => {
    expect(interpolateSteps({ ...REQUEST, ...over }, models)).toEqual({
      state: 'invalid',
      message: expect.stringContaining(line) as string,
    });
  });
});

describe('check-model', () => {
  const request = { model: 'rife', providers: [], agent: '', width: 0, height: 0 };

  test('runs the model once by each provider, on one agent when one is named', () => {
    const plan = checkModelSteps({ ...request, providers: ['cpu', 'cuda'], agent: 'den' }, models);
    if (plan.state === 'invalid') throw new Error(plan.message);
    expect(plan.steps.map(({ name }) => name)).toEqual(['check-cpu', 'check-cuda']);
    expect(faultOfSteps(plan.steps)).toBeUndefined();
    for (const { demand, outputs } of plan.steps) {
      expect(demand?.attributes).toContain('agent:den');
      expect(outputs).toMatchObject([{ keep: true }]);
    }
    expect(plan.steps[1]?.demand?.gpus).toBe(1);
  });

  test.each([
    [{ model: 'x' }, 'no model named "x"'],
    [{ providers: ['gpu'] }, 'provider "gpu" is not known'],
    [{ width: 9999 }, 'width 9999'],
  ])('refuses %j in one line', (over, line) => {
    expect(checkModelSteps({ ...request, ...over }, models)).toEqual({
      state: 'invalid',
      message: expect.stringContaining(line) as string,
    });
  });
});
