import { expect, test } from 'vitest';
import {
  blenderFault,
  frameName,
  openArgs,
  parseLine,
  renderArgs,
} from '../../../../../agent/runners/render/blender.ts';
import { LOOK_SCRIPT, SCENE_SCRIPT } from '../../../../../agent/runners/render/scene-script.ts';

const SETTINGS = {
  scene: 'Shot "2"',
  engine: 'cycles',
  samples: 8,
  width: 160,
  height: 90,
  format: 'jpeg',
  gpu: false,
};

test('opens the file without its scripts, and says the settings before the frames', () => {
  const args = renderArgs('/unit/a.blend', SETTINGS, 3, { frames: [1, 2, 9], output: '/unit' });
  expect(args).toEqual([
    '-b',
    '--factory-startup',
    '-Y',
    '--python-exit-code',
    '7',
    '-t',
    '3',
    '--python-expr',
    LOOK_SCRIPT,
    '/unit/a.blend',
    '-S',
    'Shot "2"',
    '--python-expr',
    SCENE_SCRIPT,
    '-o',
    '/unit/frame-######',
    '-F',
    'JPEG',
    '-x',
    '1',
    '-f',
    '1,2,9',
  ]);
  expect(openArgs('/unit/a.blend', { ...SETTINGS, scene: '' }, 1)).not.toContain('-S');
});

test('no word of a user is part of the script', () => {
  expect(openArgs('/unit/a.blend', { ...SETTINGS, scene: "x'); evil(" }, 1)).toContain(
    SCENE_SCRIPT,
  );
});

test('names frames as Blender does', () => {
  expect(frameName(12, 'png')).toBe('frame-000012.png');
  expect(frameName(1_048_574, 'exr')).toBe('frame-1048574.exr');
  expect(frameName(1, 'tiff')).toBeUndefined();
});

// Lines of Blender 3.4.1.
test.each([
  [
    'Fra:3 Mem:11.07M (Peak 11.32M) | Time:00:00.42 | Remaining:00:00.14 | Mem:1.39M, Peak:1.39M | Scene, ViewLayer | Sample 6/8',
    { state: 'sample', fraction: 0.75, note: 'sample 6 of 8' },
  ],
  [
    'Fra:1 Mem:10.80M (Peak 11.89M) | Time:00:06.09 | Rendering 26 / 64 samples',
    { state: 'sample', fraction: 26 / 64, note: 'sample 26 of 64' },
  ],
  ["Saved: '/unit/frame-000001.png'", { state: 'saved' }],
  ['furrow-fault: it has no scene "x": there is Scene', { state: 'fault' }],
  ['Read blend: /unit/a.blend', { state: 'other' }],
])('reads %s', (line, expected) => {
  expect(parseLine(line)).toMatchObject(expected);
});

const ENDED = { exitCode: 1, signal: null, stdoutTail: [], stderrTail: [] };

test('a file that Blender cannot open is the input’s fault, a crash is not', () => {
  for (const line of [
    "Error: File format is not supported in file '/unit/a.blend'",
    "Error: Failed to read blend file '/unit/a.blend': Missing DNA block",
  ]) {
    expect(blenderFault('a.blend', { ...ENDED, stdoutTail: [line] }, undefined)).toEqual({
      state: 'failed',
      kind: 'invalid-input',
      message: 'a.blend is damaged, or no Blender file that this Blender can open',
    });
  }
  const crash = { ...ENDED, exitCode: null, signal: 'SIGSEGV' };
  expect(blenderFault('a.blend', crash, undefined)).toMatchObject({
    kind: 'failed',
    message: 'blender was ended by SIGSEGV',
  });
  expect(blenderFault('a.blend', { ...ENDED, exitCode: 0 }, undefined)).toBeUndefined();
});

test('what the script refuses comes with a remedy', () => {
  const fault = 'files that it names are missing: textures/wood.png';
  expect(blenderFault('a.blend', { ...ENDED, exitCode: 7 }, fault)).toEqual({
    state: 'failed',
    kind: 'invalid-input',
    message: `a.blend: ${fault} (give them with --asset, or pack them: File > External Data > Pack Resources)`,
  });
});
