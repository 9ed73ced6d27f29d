import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { type MontageRequest, montageSteps } from '../../../../coordinator/recipes/montage.ts';
import { MONTAGE_STYLES } from '../../../../coordinator/recipes/montage-styles.ts';
import { TRANSITIONS } from '../../../../agent/runners/montage/cut-list.ts';
import { knownModels, MANIFEST } from '../../../support/models.ts';

const file = (name: string, sizeBytes = 1000) => ({ name, sha256: 'a'.repeat(64), sizeBytes });

const NO_MODELS = knownModels({});
const MODELS = knownModels({ 'anime-x4': MANIFEST });

function request(over: Partial<MontageRequest> = {}): MontageRequest {
  return {
    clips: [file('day/one.mp4'), file('two.mov')],
    music: file('song.mp3'),
    style: 'travel',
    lengthMs: 0,
    seed: 0,
    width: 0,
    height: 0,
    enhance: false,
    stabilize: false,
    proxies: false,
    clipSound: 0,
    musicFromMs: 0,
    fit: '',
    film: '',
    encoder: '',
    crf: 0,
    preset: '',
    upscale: '',
    provider: '',
    cpus: 0,
    ramBytes: 0,
    vramBytes: 0,
    ...over,
  };
}

function steps(over: Partial<MontageRequest> = {}) {
  const plan = montageSteps(request(over), NO_MODELS);
  if (plan.state === 'invalid') throw new Error(plan.message);
  return plan.steps;
}

test('clips are looked at apart, shots fan out over the list, and the proof is last', () => {
  const plan = steps();
  expect(plan.map(({ name }) => name)).toEqual([
    'look-00000',
    'look-00001',
    'listen',
    'cutlist',
    'take-00000',
    'take-00001',
    'shots',
    'join',
    'proof',
  ]);
  const shots = plan.find(({ name }) => name === 'shots');
  expect(shots?.parameters?.kind).toEqual({
    $case: 'forEach',
    value: { step: 'cutlist', pattern: 'shot-*' },
  });
  const kept = plan.flatMap(({ outputs }) =>
    outputs.filter(({ keep }) => keep).map(({ pattern }) => pattern),
  );
  expect(kept).toEqual(['cuts.otio', 'cuts.edl', 'cuts.csv', 'montage.mp4', 'proof.json']);
});

test.each([
  [{}],
  [{ proxies: true, clipSound: 0.5 }],
  [{ cuts: file('edited.edl'), style: '' }],
  [{ clips: Array.from({ length: 300 }, (_, i) => file(`clip ${i}.mp4`)) }],
])('the farm takes its steps', (over) => {
  expect(faultOfSteps(steps(over))).toBeUndefined();
});

test('a clip is only where it is needed: no shot has whole clips', () => {
  for (const { name, inputs } of steps({ clipSound: 1 })) {
    const files = inputs.filter(({ kind }) => kind?.$case === 'file').length;
    expect([name, files]).toEqual([name, /^(look|take|listen|join)/.test(name) ? 1 : 0]);
  }
});

test('proxies are kept when asked for, and the proof waits for them', () => {
  const plan = steps({ proxies: true });
  expect(plan.find(({ name }) => name === 'proxy-00001')?.outputs).toEqual([
    { pattern: 'proxies/*', keep: true, optional: true },
  ]);
  expect(plan.at(-1)?.dependsOn).toContain('proxy-00001');
});

test('an edited list needs no style, and no choosing is done', () => {
  const plan = steps({ style: '', cuts: file('a/edited.otio') });
  const task = plan.find(({ name }) => name === 'cutlist')?.task?.kind;
  expect(task).toMatchObject({ value: { list: 'list/edited.otio', style: undefined } });
});

describe('with a model', () => {
  const plan = montageSteps(request({ upscale: 'anime-x4', cpus: 4, enhance: true }), MODELS);
  if (plan.state === 'invalid') throw new Error(plan.message);
  const named = (name: string) => plan.steps.find((step) => step.name === name)!;

  test('shots that need it are units of their own, and only those book its memory', () => {
    const [shots, enlarged] = [named('shots'), named('enlarged')];
    expect(enlarged.parameters?.kind).toEqual({
      $case: 'forEach',
      value: { step: 'cutlist', pattern: 'small-*' },
    });
    expect(shots.demand?.attributes).not.toContain('onnx:cpu');
    expect(enlarged.demand?.attributes).toContain('onnx:cpu');
    expect(enlarged.demand!.ramBytes - shots.demand!.ramBytes).toBeGreaterThan(1024 ** 3);
    expect(enlarged.demand?.cpuMillis).toBe(4000);
    expect(enlarged.task?.kind).toMatchObject({ value: { use: { model: { name: 'anime-x4' } } } });
    expect(faultOfSteps(plan.steps)).toBeUndefined();
  });

  test('film and proof are made of both', () => {
    for (const step of ['join', 'proof'].map(named)) {
      expect(step.dependsOn).toEqual(expect.arrayContaining(['shots', 'enlarged']));
      expect(step.inputs).toContainEqual({
        kind: { $case: 'outputs', value: { step: 'enlarged', pattern: 'seal-*' } },
      });
    }
  });

  test('on a GPU, as asked', () => {
    const onGpu = montageSteps(request({ upscale: 'anime-x4', vramBytes: 4e9 }), MODELS);
    if (onGpu.state === 'invalid') throw new Error(onGpu.message);
    const { demand, task } = onGpu.steps.find(({ name }) => name === 'enlarged')!;
    expect(demand).toMatchObject({ gpus: 1, vramBytes: 4e9 });
    expect(demand?.attributes).toContain('onnx:cuda');
    expect(task?.kind).toMatchObject({ value: { use: { provider: 'cuda' } } });
  });

  test.each<[string, Partial<MontageRequest>, RegExp]>([
    [
      'one that is not there',
      { upscale: 'anime' },
      /no model named "anime": those to upscale are anime-x4/,
    ],
    ['a provider', { upscale: 'anime-x4', provider: 'gpu' }, /provider "gpu" is not known/],
    ['memory', { upscale: 'anime-x4', ramBytes: 1e8 }, /95 MiB of memory is too little/],
    ['memory without a model', { vramBytes: 1e9 }, /name one to upscale with/],
  ])('%s is refused', (_what, over, message) => {
    expect(montageSteps(request(over), MODELS)).toMatchObject({
      state: 'invalid',
      message: expect.stringMatching(message),
    });
  });
});

describe('styles', () => {
  const styles = [...MONTAGE_STYLES.values()];

  test('there are at least seven, each its own', () => {
    expect(styles.length).toBeGreaterThanOrEqual(7);
    const looks = styles.map((style) => JSON.stringify({ ...style, name: '' }));
    expect(new Set(looks).size).toBe(styles.length);
  });

  test.each(styles)('$name says everything in its range', (style) => {
    expect(style.rhythms[0]?.fromEnergy).toBe(0);
    const rising = style.rhythms.map(({ fromEnergy }) => fromEnergy);
    expect(rising).toEqual(rising.toSorted((a, b) => a - b));
    for (const { beats, speedPercents } of style.rhythms) {
      expect(beats.length).toBeGreaterThan(0);
      for (const count of beats) expect(Number.isInteger(count) && count >= 1).toBe(true);
      for (const percent of speedPercents) expect([50, 100, 200]).toContain(percent);
    }
    for (const { transition, weight } of style.blends) {
      expect(TRANSITIONS).toContain(transition);
      expect(weight).toBeGreaterThan(0);
    }
    for (const energy of [...style.energyCurve, style.curveShare]) {
      expect(energy >= 0 && energy <= 1).toBe(true);
    }
  });
});

describe('a request that cannot be met is refused with the remedy', () => {
  test.each<[string, Partial<MontageRequest>, RegExp]>([
    ['a prompt', { style: 'something upbeat' }, /no style "something upbeat": use calm, cinematic/],
    ['no style', { style: '' }, /a style is missing: use calm/],
    ['no clips', { clips: [] }, /clips are missing/],
    ['no music', { music: undefined }, /the music is missing/],
    ['empty music', { music: file('a.mp3', 0) }, /a\.mp3 is empty/],
    ['a name twice', { clips: [file('a/x.mp4'), file('b/X.mp4')] }, /two clips are named/],
    ['a path out', { clips: [file('../x.mp4')] }, /leaves its directory/],
    ['too many clips', { clips: Array.from({ length: 301 }, (_, i) => file(`${i}`)) }, /301 clips/],
    ['an odd size', { width: 641 }, /width 641 must be even/],
    ['a rate without timecode', { rate: { num: 33, den: 1 } }, /33\/1 is not one that timecode/],
    ['a length and a list', { lengthMs: 5000, cuts: file('c.csv') }, /leave the length out/],
    ['a list of another kind', { cuts: file('c.xml') }, /must end in \.otio, \.edl or \.csv/],
    ['webm', { film: 'a.webm' }, /must end in \.mp4, \.mov or \.mkv/],
    ['a name of ours', { film: 'proof.json' }, /one that the farm itself uses/],
    ['an encoder', { encoder: 'libvpx-vp9' }, /use libx264 or libx265/],
    ['a preset', { preset: 'fastest' }, /preset "fastest" is not one of libx264/],
    ['a loud clip', { clipSound: 2 }, /clip sound of 2/],
    ['a fit', { fit: 'stretch' }, /use crop or pad/],
    ['a seed', { seed: 1.5 }, /must be whole/],
  ])('%s', (_what, over, message) => {
    expect(montageSteps(request(over), NO_MODELS)).toMatchObject({
      state: 'invalid',
      message: expect.stringMatching(message),
    });
  });
});
