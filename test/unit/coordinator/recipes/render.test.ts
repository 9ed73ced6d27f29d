import { expect, test } from 'vitest';
import { renderSteps, type RenderRequest } from '../../../../coordinator/recipes/render.ts';

const SCENE = { name: 'shots/monkey.blend', sha256: 'a'.repeat(64), sizeBytes: 1000 };
const PLAIN: RenderRequest = {
  scene: SCENE,
  assets: [],
  frames: [],
  framesPerUnit: 0,
  film: 'monkey.mp4',
  frameRate: '',
  cpus: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
};

function stepsOf(request: Partial<RenderRequest> = {}) {
  const plan = renderSteps({ ...PLAIN, ...request });
  if (plan.state === 'invalid') throw new Error(plan.message);
  return plan.steps;
}

function faultOf(request: Partial<RenderRequest>): string {
  const plan = renderSteps({ ...PLAIN, ...request });
  return plan.state === 'invalid' ? plan.message : 'none';
}

test('looks, renders what the look found, makes a film, proves', () => {
  const steps = stepsOf();
  expect(steps.map(({ name }) => name)).toEqual(['scan', 'render', 'film', 'proof']);
  const [scan, render] = steps;
  expect(scan?.task?.kind).toMatchObject({ value: { file: 'monkey.blend', framesPerUnit: 0 } });
  expect(render?.parameters?.kind).toEqual({
    $case: 'forEach',
    value: { step: 'scan', pattern: 'frames-*' },
  });
  expect(render?.uniform).toBe('blender');
  const kept = steps.flatMap(({ outputs }) => outputs.filter(({ keep }) => keep));
  expect(kept.map(({ pattern }) => pattern)).toEqual(['frame-*', 'monkey.mp4', 'proof.json']);
});

test('goes only where the owner lets Blender run', () => {
  for (const step of stepsOf().slice(0, 2)) {
    expect(step.demand?.attributes).toEqual(
      expect.arrayContaining(['tool:blender', 'command:blender']),
    );
  }
});

test('frames alone need no film', () => {
  const steps = stepsOf({ film: '' });
  expect(steps.map(({ name }) => name)).toEqual(['scan', 'render', 'proof']);
  expect(steps.at(-1)?.dependsOn).toEqual(['scan', 'render']);
});

test('with GPUs, Cycles renders on them', () => {
  const render = stepsOf({ gpus: 2, vramBytes: 8e9 }).find(({ name }) => name === 'render');
  expect(render?.demand).toMatchObject({ gpus: 2, vramBytes: 8e9, cpuMillis: 1000 });
  expect(render?.task?.kind).toMatchObject({ value: { settings: { gpu: true } } });
  const scan = stepsOf({ gpus: 2 }).find(({ name }) => name === 'scan');
  expect(scan?.demand?.gpus).toBe(0);
});

test('a film of a format that cannot be made is refused, and every other bad wish, in one line', () => {
  const settings = {
    scene: '',
    engine: '',
    samples: 0,
    width: 0,
    height: 0,
    format: 'png',
    gpu: false,
  };
  const video = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };
  expect([
    faultOf({ scene: undefined }),
    faultOf({ scene: { ...SCENE, name: 'film.mp4' } }),
    faultOf({ scene: { ...SCENE, sizeBytes: 0 } }),
    faultOf({ assets: [{ ...SCENE, name: '../wood.png' }] }),
    faultOf({ assets: [{ ...SCENE, name: 'frame-000001.png' }] }),
    faultOf({ assets: [{ ...SCENE, name: 'monkey.blend' }] }),
    faultOf({ settings: { ...settings, engine: 'arnold' } }),
    faultOf({ settings: { ...settings, format: 'tiff' } }),
    faultOf({ settings: { ...settings, width: 99_999 } }),
    faultOf({ settings: { ...settings, engine: 'eevee' }, gpus: 1 }),
    faultOf({ settings: { ...settings, format: 'exr' } }),
    faultOf({ frames: [{ first: 9, last: 3, step: 1 }] }),
    faultOf({ film: 'film.avi' }),
    faultOf({ film: 'a/film.mp4' }),
    faultOf({ frameRate: '24' }),
    faultOf({ video: { ...video, encoder: 'libx266' } }),
    faultOf({ video: { ...video, crf: 99 } }),
    faultOf({ film: 'film.webm', video: { ...video, encoder: 'libx264' } }),
    faultOf({ vramBytes: 5 }),
  ]).toMatchInlineSnapshot(`
    [
      "scene is missing: name an uploaded Blender file",
      "film.mp4 is no Blender file: it ends in .blend",
      "monkey.blend is empty",
      "the asset's name "../wood.png" leaves its directory with ..",
      "the asset's name "frame-000001.png" is one that the farm uses",
      "two files are called "monkey.blend"",
      "engine "arnold" is not known: use cycles, eevee, workbench",
      "format "tiff" is not known: use png, jpeg, exr",
      "width 99999 must be from 4 to 16384; 0 takes the file's",
      "eevee does not render on a farm's GPUs: use cycles, or no --gpus",
      "a film is made of png or jpeg frames, not of exr",
      "frames 9-3 must go up, and not beyond 1048574",
      "the film's name "film.avi" must be a name that ends in .mp4, .mov, .mkv or .webm",
      "the film's name "a/film.mp4" must be a name that ends in .mp4, .mov, .mkv or .webm",
      "frame rate "24" must be a fraction such as 24/1 or 30000/1001",
      "video encoder "libx266" is not known: use libx264, libx265, libsvtav1, libvpx-vp9",
      "crf 99 must be from 1 to 51",
      ".webm does not take libx264: use mp4, mov, mkv",
      "memory of GPUs is asked for, but no GPU: say how many",
    ]
  `);
});
