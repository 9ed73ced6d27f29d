/** The work itself, with a model of arithmetic in place of a session: real ones are in integration tests. */
import { describe, expect, test } from 'vitest';
import { interpolateFrames } from '../../../../../agent/models/worker/interpolate-frames.ts';
import type { LoadedModel } from '../../../../../agent/models/worker/load-model.ts';
import type { WorkContext } from '../../../../../agent/models/worker/works.ts';
import type { InterpolateWork, TensorFacts } from '../../../../../agent/models/model-work.ts';
import { manifestFrom } from '../../../../support/models.ts';

const SIZE = { width: 10, height: 6 };
const FRAME_BYTES = SIZE.width * SIZE.height * 3;

interface Given {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Blends its two pictures by the time, whatever the layout. Counts its runs. */
function blender(manifest: object, inputs: readonly TensorFacts[]) {
  const runs: Given[][] = [];
  const model = {
    manifest: manifestFrom({ kind: 'interpolate', ...manifest }),
    provider: 'cpu',
    channels: 3,
    inputs,
    outputs: [{ name: 'output', type: 'float32', shape: [1, 3, 'h', 'w'] }],
    tensor: (data: Float32Array, dims: readonly number[]) => ({ data, dims }),
    run: async (feeds: Record<string, Given>) => {
      const given = inputs.map(({ name }) => feeds[name]!);
      runs.push(given.map(({ data, dims }) => ({ data: data.slice(), dims })));
      const [, , height, width] = given[0]!.dims as [number, number, number, number];
      const area = height * width;
      const all = given.flatMap(({ data, dims }) => (dims[1] === 1 ? [] : [...data]));
      const time = given.find(({ dims }) => dims[1] === 1)?.data[0];
      const t = time ?? (all.length > 6 * area ? all[6 * area]! : 0.5);
      const data = Float32Array.from({ length: 3 * area }, (_, i) => {
        return all[i]! * (1 - t) + all[3 * area + i]! * t;
      });
      return { output: { data, dims: [1, 3, height, width] } };
    },
  };
  return { model: model as unknown as LoadedModel, runs };
}

const picture = (name: string, depth: number): TensorFacts => ({
  name,
  type: 'float32',
  shape: [1, depth, 'h', 'w'],
});
const SPLIT = [picture('a', 3), picture('b', 3)];

/** Horizontal ramps, so that frames have shapes; they differ by their brightness. */
function ramp(tone: number): Uint8Array {
  return Uint8Array.from({ length: FRAME_BYTES }, (_, i) => tone + (Math.floor(i / 3) % 10) * 3);
}

async function run(
  model: LoadedModel,
  sources: readonly Uint8Array[],
  shown: readonly (readonly [from: number, part: number])[],
  smooth?: InterpolateWork['smooth'],
) {
  const work: InterpolateWork = {
    kind: 'interpolate',
    ...SIZE,
    frames: sources.length,
    film: {
      timeBase: { num: 1, den: 100 },
      ticks: shown.map((_, i) => i),
      from: shown.map(([from]) => from),
      part: shown.map(([, part]) => part),
    },
    ...(smooth !== undefined && { smooth }),
  };
  const written: Uint8Array[] = [];
  const told: unknown[] = [];
  let read = 0;
  const context = {
    pipes: {
      read: (into: Uint8Array) => {
        const next = sources[read];
        if (next !== undefined) into.set(next);
        read += 1;
        return next !== undefined;
      },
      write: (bytes: Uint8Array) => {
        if (bytes.length === FRAME_BYTES) written.push(bytes.slice());
      },
    },
    tell: (answer: { event: string; value?: unknown }) => {
      if (answer.event === 'result') told.push(answer.value);
    },
    notePeak: () => {},
    noteGarbage: () => {},
    collect: () => {},
  };
  await interpolateFrames(model, work, context as unknown as WorkContext);
  return { written, made: told.at(-1), told: told.slice(0, -1), read };
}

/** The first value of each frame tells its tone. */
const tones = (frames: readonly Uint8Array[]): number[] => frames.map((bytes) => bytes[0]!);

const doubled = (frames: number): [number, number][] =>
  Array.from({ length: frames }, (_, i): [number, number][] =>
    i + 1 < frames
      ? [
          [i, 0],
          [i, 0.5],
        ]
      : [[i, 0]],
  ).flat();

describe('whatever form the model takes its pair and the time in', () => {
  const scalar = { name: 't', type: 'float32', shape: [1, 1, 1, 1] };
  test.each<[string, object, TensorFacts[]]>([
    ['split and a number', { pairLayout: 'split', timestep: 'scalar' }, [...SPLIT, scalar]],
    ['split and a plane', { pairLayout: 'split', timestep: 'plane' }, [...SPLIT, picture('t', 1)]],
    ['six and a number', { pairLayout: 'concat6', timestep: 'scalar' }, [picture('x', 6), scalar]],
    ['seven', { pairLayout: 'concat7', timestep: 'plane' }, [picture('x', 7)]],
    ['eleven', { pairLayout: 'concat11', timestep: 'plane' }, [picture('x', 11)]],
  ])('%s', async (_name, manifest, inputs) => {
    const { model } = blender({ ...manifest, sizeMultiple: 4 }, inputs);
    const shown: [number, number][] = [
      [0, 0],
      [0, 0.25],
      [0, 0.75],
      [1, 0],
      [1, 0.5],
    ];
    const { written, made, read } = await run(model, [ramp(100), ramp(104), ramp(108)], shown);
    expect(tones(written)).toEqual([100, 101, 103, 104, 106]);
    expect(written[0]).toEqual(ramp(100));
    expect(written[1]).toEqual(ramp(101));
    expect(made).toEqual({ source: 2, made: 3, held: 0, cuts: 0 });
    expect(read).toBe(3);
  });

  test('eleven channels end with where each pixel lies, and how far the next is', async () => {
    const { model, runs } = blender(
      { pairLayout: 'concat11', timestep: 'plane', sizeMultiple: 8 },
      [picture('x', 11)],
    );
    await run(model, [ramp(100), ramp(104)], [[0, 0.5]]);
    const [{ data, dims }] = runs[0] as [Given];
    expect(dims).toEqual([1, 11, 8, 16]);
    const plane = (channel: number) => data.subarray(channel * 128, (channel + 1) * 128);
    expect([plane(6)[0], plane(6)[127]]).toEqual([0.5, 0.5]);
    expect([plane(7)[0], plane(7)[15], plane(7)[112]]).toEqual([-1, 1, -1]);
    expect([plane(8)[0], plane(8)[15], plane(8)[127]]).toEqual([-1, -1, 1]);
    expect(plane(9)[5]).toBeCloseTo(2 / 15, 6);
    expect(plane(10)[5]).toBeCloseTo(2 / 7, 6);
    // Beyond the picture its last column goes on.
    expect(plane(0)[15]).toBe(plane(0)[9]);
  });
});

test('a model that is not told the time gets to others by halving, each half once', async () => {
  const { model, runs } = blender({ pairLayout: 'split', timestep: 'none' }, SPLIT);
  const shown: [number, number][] = [
    [0, 0],
    [0, 0.25],
    [0, 0.5],
    [0, 0.75],
    [1, 0],
    [1, 0.5],
  ];
  const { written } = await run(model, [ramp(100), ramp(108), ramp(116)], shown);
  expect(tones(written)).toEqual([100, 102, 104, 106, 108, 112]);
  expect(runs).toHaveLength(4);
});

test('two frames that are the same are not blended, and cost no run', async () => {
  const { model, runs } = blender({ pairLayout: 'split', timestep: 'none' }, SPLIT);
  const sources = [ramp(100), ramp(100), ramp(104)];
  const { written, made } = await run(model, sources, doubled(3));
  expect(tones(written)).toEqual([100, 100, 100, 102, 104]);
  expect(runs).toHaveLength(1);
  expect(made).toEqual({ source: 3, made: 1, held: 1, cuts: 0 });
});

describe('short runs of the same picture become motion', () => {
  const split = { pairLayout: 'split', timestep: 'none' };
  const timed = { pairLayout: 'split', timestep: 'scalar' };
  const INPUTS = [...SPLIT, { name: 't', type: 'float32', shape: [1, 1, 1, 1] }];
  const rules = (frames: number, most = 6): NonNullable<InterpolateWork['smooth']> => ({
    ticks: Array.from({ length: frames }, (_, i) => i * 10),
    most,
    mostTicks: 60,
  });
  const runs = (...tonesAndCounts: [tone: number, count: number][]): Uint8Array[] =>
    tonesAndCounts.flatMap(([tone, count]) => Array.from({ length: count }, () => ramp(tone)));

  test('on twos and threes: as even as if each picture were one frame', async () => {
    const { model } = blender(timed, INPUTS);
    const sources = runs([100, 2], [108, 2], [116, 3], [128, 2]);
    const { written, made, told } = await run(model, sources, doubled(9), rules(9));
    expect(tones(written)).toEqual([
      100, 102, 104, 106, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126,
      // What comes after the last is not known.
      128, 128, 128,
    ]);
    expect(told).toEqual([
      {
        smoothed: [
          [0, 2],
          [2, 4],
          [4, 7],
        ],
      },
    ]);
    expect(made).toEqual({ source: 5, made: 11, held: 1, cuts: 0 });
  });

  test('noise of an encoder does not end a run', async () => {
    const { model } = blender(split, SPLIT);
    const noisy = ramp(100).map((value, i) => (i % 7 === 0 ? value + 3 : value));
    const sources = [ramp(100), noisy, ramp(108), ramp(108)];
    const { written } = await run(model, sources, doubled(4), rules(4));
    expect(tones(written).slice(0, 5)).toEqual([100, 102, 104, 106, 108]);
  });

  test('a still picture stays still, and each of its frames is its own', async () => {
    const { model, runs: modelRuns } = blender(split, SPLIT);
    const noisy = ramp(100).map((value, i) => (i % 7 === 0 ? value + 3 : value));
    const sources = [...runs([100, 4]), noisy, ...runs([100, 3], [108, 1])];
    const { written, made } = await run(model, sources, doubled(9), rules(9));
    expect(written[8]).toEqual(noisy);
    expect(written.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => ramp(100)));
    // Between the last of it and what comes then, as ever.
    expect(tones(written).slice(14)).toEqual([100, 104, 108]);
    expect(modelRuns).toHaveLength(1);
    expect(made).toEqual({ source: 9, made: 1, held: 7, cuts: 0 });
  });

  test('nothing is blended across a cut, which comes when the source has it', async () => {
    const { model } = blender(split, SPLIT);
    const other = Uint8Array.from(ramp(0), (value) => 220 - value * 4);
    const sources = [...runs([100, 2], [104, 2]), other, other];
    const { written, made } = await run(model, sources, doubled(6), rules(6));
    expect(written.slice(4, 7)).toEqual([ramp(104), ramp(104), ramp(104)]);
    expect(written.slice(7, 9)).toEqual([other, other]);
    expect(made).toMatchObject({ cuts: 1 });
  });

  test('pieces make of a run what the whole makes of it', async () => {
    const tonesOf = [100, 104, 110, 112, 118, 121, 125, 130];
    const sources = runs(...tonesOf.map((tone, i): [number, number] => [tone, 1 + (i % 4)]));
    const { model } = blender(timed, INPUTS);
    const whole = await run(model, sources, doubled(sources.length), rules(sources.length));
    for (let first = 1; first < sources.length - 1; first += 1) {
      const lead = Math.min(7, first);
      const held = sources.slice(first - lead, first + 1 + 12);
      const shown: [number, number][] = [
        [lead, 0],
        [lead, 0.5],
      ];
      const piece = await run(model, held, shown, rules(held.length));
      expect({ first, made: piece.written }).toEqual({
        first,
        made: whole.written.slice(2 * first, 2 * first + 2),
      });
    }
  });
});

test('across a cut the nearer frame is shown', async () => {
  const { model } = blender({ pairLayout: 'split', timestep: 'none' }, SPLIT);
  const other = Uint8Array.from(ramp(0), (value) => 220 - value * 4);
  const sources = [ramp(100), ramp(101), other, other];
  const shown: [number, number][] = [
    [1, 0],
    [1, 0.25],
    [1, 0.5],
    [1, 0.75],
    [2, 0],
  ];
  const { written, made } = await run(model, sources, shown);
  expect(written).toEqual([ramp(101), ramp(101), other, other, other]);
  expect(made).toEqual({ source: 2, made: 0, held: 3, cuts: 1 });
});

describe('a model that is not what its manifest says is refused in one line', () => {
  test.each<[string, object, TensorFacts[], string]>([
    ['an input too few', { timestep: 'scalar' }, SPLIT, 'has the inputs a, b'],
    ['another depth', { timestep: 'none' }, [picture('a', 3), picture('b', 4)], 'input 2'],
    [
      'one size only',
      { timestep: 'none' },
      [{ name: 'a', type: 'float32', shape: [1, 3, 4, 4] }, picture('b', 3)],
      '4x4 only',
    ],
  ])('%s', async (_name, manifest, inputs, line) => {
    const { model } = blender({ pairLayout: 'split', ...manifest }, inputs);
    await expect(run(model, [ramp(1), ramp(2)], [[0, 0.5]])).rejects.toMatchObject({
      kind: 'invalid-input',
      message: expect.stringContaining(line) as string,
    });
  });
});

test('what comes too short fails, and so does a blank picture of two that are not', async () => {
  const { model } = blender({ pairLayout: 'split', timestep: 'none' }, SPLIT);
  await expect(run(model, [ramp(1)], [[0, 0.5]])).rejects.toThrow('only 1 of');
  const blank = {
    ...model,
    run: async () => ({ output: { data: new Float32Array(180), dims: [1, 3, 6, 10] } }),
  };
  await expect(
    run(blank as unknown as LoadedModel, [ramp(100), ramp(110)], [[0, 0.5]]),
  ).rejects.toMatchObject({ kind: 'bad-output' });
});
