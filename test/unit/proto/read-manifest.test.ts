import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { MODEL_KINDS } from '../../../coordinator/domain/model.ts';
import { jsonOf, KINDS } from '../../../proto/model-manifest.ts';
import { checkManifest, readManifest } from '../../../proto/read-manifest.ts';

const upscale = { kind: 'upscale', licence: 'MIT', scale: 4, halo: 18 };
const pair = { kind: 'interpolate', licence: 'MIT', pairLayout: 'split', timestep: 'scalar' };
const yolox = {
  kind: 'detect',
  licence: 'MIT',
  width: 416,
  height: 416,
  fit: 'letterbox-top-left',
};

function manifestOf(value: unknown) {
  const read = readManifest(value);
  if (read.state === 'invalid') throw new Error(read.fault);
  return read.manifest;
}

test('what is left out is filled in', () => {
  expect(manifestOf(upscale)).toMatchObject({
    channels: 1,
    mean: [0],
    deviation: [255],
    sizeMultiple: 1,
    inputs: [],
    maxBatch: 0,
  });
});

test('a number for all channels, or one for each', () => {
  expect(manifestOf({ ...upscale, mean: 127 }).mean).toEqual([127]);
  expect(manifestOf({ ...upscale, mean: [1, 2, 3] }).mean).toEqual([1, 2, 3]);
});

describe('a fault is one line that names the field and what it may be', () => {
  const halos = { ...upscale, halos: 1 };
  test.each([
    [[], 'it must be an object'],
    [{}, 'kind is missing: it must be one of upscale, interpolate, detect, classify'],
    [{ kind: 'draw' }, 'kind must be one of upscale'],
    [{ ...upscale, licence: undefined }, 'licence must be one line'],
    [{ kind: 'upscale', licence: 'MIT', halo: 1 }, 'scale is missing: it must be a whole number'],
    [{ ...upscale, scale: 9 }, 'scale must be a whole number from 2 to 8'],
    [{ ...upscale, channels: 'grey' }, 'channels must be one of rgb, bgr, luma'],
    [{ ...upscale, deviation: 0 }, 'deviation must be a number above 0'],
    [{ ...upscale, mean: [1, 2] }, 'mean has 2 numbers for 3 channels'],
    [{ ...upscale, inputs: [7] }, 'inputs.0 must be one line'],
    [halos, '"halos" is no field of a model that is to upscale: use kind, licence'],
    [{ ...pair, timestep: undefined }, 'timestep must be one of none, scalar, plane'],
    [{ ...pair, pairLayout: 'concat7' }, 'timestep must be plane with pairLayout concat7'],
    [{ ...yolox, outputForm: 'logits' }, 'outputForm must be one of yolox, scores-and-boxes'],
  ])('%j', (value, fault) => {
    const read = readManifest(value);
    expect(read).toMatchObject({ state: 'invalid', fault: expect.stringContaining(fault) });
    expect(read.state === 'invalid' && read.fault).not.toContain('\n');
  });
});

test('messages from elsewhere are held to the same rules', () => {
  const good = manifestOf(upscale);
  expect(checkManifest(good)).toMatchObject({ state: 'ok', manifest: good });
  expect(checkManifest({ ...good, scale: 99 })).toMatchObject({ state: 'invalid' });
  expect(checkManifest({ ...good, kind: 0 })).toMatchObject({ state: 'invalid' });
  expect(checkManifest({ ...good, channels: Number('17') })).toMatchObject({ state: 'invalid' });
});

test('the domain has the kinds of the protocol', () => {
  expect(MODEL_KINDS).toEqual(KINDS);
});

const examples = fileURLToPath(new URL('../../../examples/models/', import.meta.url));
const names = (await readdir(examples)).filter((name) => name.endsWith('.json'));

test.each(names)(
  'the example %s may be used as it is, and reads the same when shown',
  async (name) => {
    const manifest = manifestOf(JSON.parse(await readFile(examples + name, 'utf8')));
    expect(manifestOf(jsonOf(manifest))).toEqual(manifest);
  },
);
