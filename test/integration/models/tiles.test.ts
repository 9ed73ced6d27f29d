/** Pictures in tiles come out bit by bit as in one piece, also when memory runs out on the way. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { throughModel } from '../../../agent/models/through-model.ts';
import type { FrameBits } from '../../../agent/models/model-work.ts';
import type { UnitModel } from '../../../proto/gen/furrow/v1/model.ts';
import { unitWork } from '../../support/film-chain.ts';
import {
  type AttemptContext,
  hasSharedModels,
  ModelTree,
  realModel,
  upscaler,
} from '../../support/model-tree.ts';
import { blurModel, hungryModel, nearestModel } from '../../support/onnx-models.ts';

const MIB = 2 ** 20;

let root: string;
let tree: ModelTree;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'furrow-tiles-'));
  tree = new ModelTree(root);
});

afterAll(async () => {
  await tree.close();
  await rm(root, { recursive: true, force: true });
});

interface Passage {
  readonly file: Buffer;
  readonly model: UnitModel;
  readonly width: number;
  readonly height: number;
  /** Instead of what memory allows. */
  readonly roomPixels?: number;
  readonly ramBytes?: number;
  readonly frames?: number;
  readonly bits?: FrameBits;
}

interface Made {
  /** Of each frame that came out. */
  readonly hashes: readonly string[];
  readonly frames: readonly Uint8Array[];
  readonly context: AttemptContext;
}

async function made(passage: Passage, on = tree): Promise<Made> {
  const { file, model, width, height, roomPixels, ramBytes = 0, frames = 1, bits = 8 } = passage;
  const frameBytes = (width * height * 3 * bits) / 8;
  const directory = await mkdtemp(join(root, 'attempt-'));
  await writeFile(join(directory, 'model.onnx'), file);
  await writeFile(join(directory, 'in.raw'), picturesOf(frameBytes * frames));
  const unit = unitWork(directory, { $case: 'noop', value: {} });
  const work = { ...unit, demand: { ...unit.demand, ramBytes } };
  const context = on.context(work);
  const sh = (script: string, signal: AbortSignal): Promise<unknown> =>
    context.run({ program: 'sh', args: ['-c', script], cwd: directory, signal });
  await throughModel(context, {
    request: { model, provider: '', reservedBytes: 0 },
    otherBytes: width * height * 15,
    workOf: (room) => ({
      kind: 'upscale',
      width,
      height,
      frames,
      bits,
      times: { timeBase: { num: 1, den: 25 }, first: 0, runs: [[1, frames - 1]] },
      roomPixels: roomPixels ?? room,
    }),
    feed: (signal) => sh('cat in.raw >frames.in', signal),
    drain: (signal) => sh('cat frames.out >out.nut', signal),
    onTold: () => undefined,
  });
  const nut = await readFile(join(directory, 'out.nut'));
  await rm(directory, { recursive: true });
  const scale = model.manifest?.scale ?? 1;
  const size = frameBytes * scale ** 2;
  const whole = framesIn(nut, size, frames);
  const hashes = whole.map((frame) => createHash('sha256').update(frame).digest('hex'));
  return { hashes, frames: whole, context };
}

/** Each lies before the next one's head, and the heads are as long as each other, or a byte longer. */
function framesIn(nut: Buffer, size: number, count: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let end = nut.length;
  for (let i = count - 1; i >= 0; i -= 1) {
    found.unshift(nut.subarray(end - size, end));
    const sync = nut.lastIndexOf(Buffer.from('4e4be4adeeca4569', 'hex'), end - size);
    end = sync;
  }
  return found;
}

/** Shapes and noise, the same in every run. */
function picturesOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let i = 0; i < length; i += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    bytes[i] = Math.floor(i / 97) % 7 === 0 ? state % 256 : (i * 5) % 251;
  }
  return bytes;
}

describe('tiles', () => {
  const blur = blurModel(2);
  const blurred = upscaler(blur, { halo: 2 });

  test.each([
    { width: 150, height: 90, roomPixels: 4_000 },
    { width: 151, height: 91, roomPixels: 1_500 },
    { width: 33, height: 200, roomPixels: 1_024 },
  ])('$width x $height with $roomPixels pixels at once', async ({ roomPixels, ...size }) => {
    const [whole, tiled] = [
      await made({ file: blur, model: blurred, ...size }),
      await made({ file: blur, model: blurred, ...size, roomPixels }),
    ];
    expect(tiled.hashes).toEqual(whole.hashes);
  });

  test('with too small a halo they would differ: the halo is what makes them the same', async () => {
    const size = { width: 150, height: 90 };
    const model = upscaler(blur, { halo: 1 });
    const whole = await made({ file: blur, model, ...size });
    const tiled = await made({ file: blur, model, ...size, roomPixels: 4_000 });
    expect(tiled.hashes).not.toEqual(whole.hashes);
  });

  test('sides that must be multiples are padded, and what is added is cut', async () => {
    const file = nearestModel(2);
    const model = upscaler(file, { sizeMultiple: 32 });
    const size = { width: 75, height: 50, frames: 3 };
    const plain = await made({ file, model: upscaler(file), ...size });
    expect((await made({ file, model, ...size })).hashes).toEqual(plain.hashes);
    expect((await made({ file, model, ...size, roomPixels: 2_048 })).hashes).toEqual(plain.hashes);
    expect(new Set(plain.hashes).size).toBe(3);
  });

  test('a model of one fixed size takes any picture', async () => {
    const file = nearestModel(2, [1, 3, 48, 64]);
    const size = { width: 150, height: 90 };
    const free = nearestModel(2);
    const plain = await made({ file: free, model: upscaler(free), ...size });
    expect((await made({ file, model: upscaler(file), ...size })).hashes).toEqual(plain.hashes);
    const small = { width: 20, height: 20 };
    const whole = await made({ file: free, model: upscaler(free), ...small });
    expect((await made({ file, model: upscaler(file), ...small })).hashes).toEqual(whole.hashes);
  });

  test('memory runs out: the tiles are halved, the unit goes on, and the next one knows', async () => {
    const file = hungryModel(2, 1_500);
    const model = upscaler(file);
    const size = { width: 400, height: 300, frames: 2 };
    const plenty = await made({ file, model, ...size, roomPixels: 10_000 });
    const tight = { file, model, ...size, ramBytes: 500 * MIB };
    const first = await made({ ...tight, roomPixels: 120_000 });
    expect(first.hashes).toEqual(plenty.hashes);
    expect(first.context.lines.join('\n')).toMatch(/memory ran out|again with/);
    const second = await made(tight);
    expect(second.hashes).toEqual(plenty.hashes);
    expect(second.context.lines).toEqual([]);
  });

  test('what one agent saw chooses the tiles of another that never ran the model', async () => {
    const file = hungryModel(2, 1_500);
    const model = upscaler(file);
    const passage = { file, model, width: 400, height: 300, ramBytes: 500 * MIB };
    const [taught, untaught] = ['taught', 'untaught'].map((name) => {
      return new ModelTree(join(root, name));
    }) as [ModelTree, ModelTree];
    try {
      const guessing = await made(passage, untaught);
      expect(guessing.context.lines.join('\n')).toMatch(/memory ran out|again with/);
      const { memory, ranOut } = guessing.context.sightings.at(-1)!;
      expect(ranOut).toBe(false);
      expect(memory).toMatchObject({ sha256: model.sha256, provider: 'cpu' });
      expect(memory!.baseBytes).toBeGreaterThan(20 * MIB);
      taught.heard = [memory!];
      const knowing = await made(passage, taught);
      expect(knowing.context.lines).toEqual([]);
      expect(knowing.hashes).toEqual(guessing.hashes);
    } finally {
      await taught.close();
      await untaught.close();
    }
  });

  test('values of sixteen bits: tiles are the whole, and halved when memory runs out', async () => {
    const size = { width: 150, height: 90, bits: 16 } as const;
    const whole = await made({ file: blur, model: blurred, ...size });
    const tiled = await made({ file: blur, model: blurred, ...size, roomPixels: 4_000 });
    expect(tiled.hashes).toEqual(whole.hashes);
    // What a model leaves alone comes back, to the last bit.
    const twice = nearestModel(2);
    const [frame] = (await made({ file: twice, model: upscaler(twice), ...size })).frames;
    const given = picturesOf(150 * 90 * 3 * 2);
    for (const [x, y] of [
      [0, 0],
      [77, 41],
      [149, 89],
    ] as const) {
      const [from, to] = [(y * 150 + x) * 6, (2 * y * 300 + 2 * x) * 6];
      expect([...frame!.subarray(to, to + 6)]).toEqual([...given.subarray(from, from + 6)]);
    }
    const file = hungryModel(2, 1_500);
    const model = upscaler(file);
    const large = { file, model, width: 400, height: 300, bits: 16 } as const;
    const plenty = await made({ ...large, roomPixels: 10_000 });
    const tight = await made({ ...large, ramBytes: 500 * MIB, roomPixels: 120_000 });
    expect(tight.hashes).toEqual(plenty.hashes);
    expect(tight.context.lines.join('\n')).toMatch(/memory ran out|again with/);
  });

  test('one process serves one unit after another', async () => {
    const passage = { file: blur, model: blurred, width: 64, height: 48 };
    await made(passage);
    const before = tree.pool.idleCount;
    await made(passage);
    expect(tree.pool.idleCount).toBe(before);
    await tree.pool.makeRoom({ ramBytes: Number.MAX_SAFE_INTEGER, gpuIds: [] });
    expect(tree.pool.idleCount).toBe(0);
    expect(tree.running).toBe(0);
  });
});

describe.skipIf(!hasSharedModels)('real models in tiles', () => {
  test.each([
    { name: 'anime', width: 120, height: 90, roomPixels: 6_400 },
    { name: 'waifu', width: 120, height: 90, roomPixels: 3_600 },
    { name: 'espcn', width: 121, height: 91, roomPixels: 3_600 },
  ] as const)('$name', async ({ name, ...size }) => {
    const { model, file } = realModel(name);
    const whole = await made({ file, model, width: size.width, height: size.height });
    const tiled = await made({ file, model, ...size });
    expect(tiled.hashes).toEqual(whole.hashes);
  });
});
