/**
 * What a model that makes frames between two is fed with, by its manifest: the two pictures side by side or one
 * behind the other, and the time between them in the form that it takes. Frames are padded to the model's size
 * and each is turned into numbers once, though it stands in two pairs.
 */
import type { Tensor } from 'onnxruntime-node';
import { PairLayout, TimestepForm } from '../../../proto/gen/furrow/v1/model.ts';
import type { FrameBits, FrameSize, TensorFacts } from '../model-work.ts';
import { type Channel, channelsOf } from './channels.ts';
import type { FrameValues, MadeValues } from './frame-values.ts';
import { type LoadedModel, refuseOther } from './load-model.ts';
import { keepPlane, tileOf } from './planes.ts';
import { WorkFailure } from './work-failure.ts';

const CHANNELS = 3;

/** Channels of the one input of each layout; `split` has two inputs of three. */
const DEPTHS: Readonly<Partial<Record<PairLayout, number>>> = {
  [PairLayout.PAIR_LAYOUT_SPLIT]: CHANNELS,
  [PairLayout.PAIR_LAYOUT_CONCAT6]: 6,
  [PairLayout.PAIR_LAYOUT_CONCAT7]: 7,
  [PairLayout.PAIR_LAYOUT_CONCAT11]: 11,
};

/** A frame as a model sees it: three planes of numbers, one behind the other. */
export type FramePlanes = Float32Array;

export class PairFeeds {
  readonly #model: LoadedModel;
  readonly #size: FrameSize;
  readonly #channels: readonly Channel[];
  readonly #isSplit: boolean;
  /** Of the layout's one input; empty for `split`. */
  readonly #joined: Float32Array;
  /** Of the time, where it has an input of its own. */
  readonly #time: { readonly facts: TensorFacts; readonly data: Float32Array } | undefined;
  readonly padded: FrameSize;

  /** WorkFailure `invalid-input` when the model is not what its manifest says. */
  constructor(model: LoadedModel, size: FrameSize, bits: FrameBits = 8) {
    const { manifest, inputs, outputs } = model;
    const { pairLayout, timestep } = manifest;
    const depth = DEPTHS[pairLayout];
    if (depth === undefined) {
      throw new WorkFailure('invalid-input', "the manifest names no layout of the model's pair");
    }
    this.#model = model;
    this.#size = size;
    this.#channels = channelsOf(manifest, bits);
    this.#isSplit = pairLayout === PairLayout.PAIR_LAYOUT_SPLIT;
    const pictures = this.#isSplit ? 2 : 1;
    for (let i = 0; i < pictures; i += 1) refuseOther(`input ${i + 1}`, inputs[i], depth);
    refuseOther('output', outputs[0], CHANNELS);
    this.padded = paddedSize(size, manifest.sizeMultiple, inputs[0]!);
    const area = this.padded.width * this.padded.height;
    this.#joined = new Float32Array(this.#isSplit ? 0 : depth * area);
    const isInside = depth > 6;
    const hasInput = !isInside && timestep !== TimestepForm.TIMESTEP_FORM_NONE;
    refuseInputs(inputs, pictures + (hasInput ? 1 : 0));
    const isPlane = timestep === TimestepForm.TIMESTEP_FORM_PLANE;
    const facts = inputs[pictures];
    if (hasInput && isPlane) refuseOther('time', facts, 1);
    this.#time =
      hasInput && facts !== undefined
        ? { facts, data: new Float32Array(isPlane ? area : 1) }
        : undefined;
    if (depth === 11) fillGrids(this.#joined.subarray(7 * area), this.padded);
  }

  /** Pixels that go through the model at once. */
  get pixels(): number {
    return this.padded.width * this.padded.height;
  }

  /** Of a frame of RGB. */
  planesOf(frame: FrameValues): FramePlanes {
    const area = this.pixels;
    const planes = new Float32Array(CHANNELS * area);
    for (const [i, channel] of this.#channels.entries()) {
      const from = { values: frame, offset: channel.offset, step: CHANNELS, ...this.#size };
      const into = planes.subarray(i * area, (i + 1) * area);
      tileOf(from, channel.floats, { x: 0, y: 0 }, this.padded, into);
    }
    return planes;
  }

  /** Into `frame` (RGB) what the model makes between the two. WorkFailure `bad-output`. */
  async between(a: FramePlanes, b: FramePlanes, part: number, frame: MadeValues): Promise<number> {
    const output = this.#model.outputs[0]!.name;
    const { data, dims } = (await this.#model.run(this.#feeds(a, b, part)))[output]!;
    const { width, height } = this.padded;
    if (dims.join() !== [1, CHANNELS, height, width].join()) {
      const message = `the model makes [${dims.join(', ')}] of two pictures of ${width}x${height}: it is none that interpolates, or its sizeMultiple is another`;
      throw new WorkFailure('invalid-input', message);
    }
    const area = this.pixels;
    const all = { left: 0, top: 0, x: 0, y: 0, endX: this.#size.width, endY: this.#size.height };
    for (const [i, channel] of this.#channels.entries()) {
      const into = { values: frame, offset: channel.offset, step: CHANNELS, ...this.#size };
      const from = data.subarray(i * area, (i + 1) * area);
      if (keepPlane(from, width, into, channel, all)) continue;
      const message =
        'the model makes values that are no numbers (NaN or infinite): it is broken, or was exported with too few bits';
      throw new WorkFailure('bad-output', message);
    }
    return data.byteLength;
  }

  #feeds(a: FramePlanes, b: FramePlanes, part: number): Record<string, Tensor> {
    const { inputs } = this.#model;
    const { width, height } = this.padded;
    const picture = (data: Float32Array): Tensor =>
      this.#model.tensor(data, [1, data.length / this.pixels, height, width]);
    const feeds: Record<string, Tensor> = {};
    if (this.#isSplit) {
      feeds[inputs[0]!.name] = picture(a);
      feeds[inputs[1]!.name] = picture(b);
    } else {
      const area = this.pixels;
      this.#joined.set(a, 0);
      this.#joined.set(b, CHANNELS * area);
      if (this.#joined.length > 6 * area) this.#joined.fill(part, 6 * area, 7 * area);
      feeds[inputs[0]!.name] = picture(this.#joined);
    }
    if (this.#time !== undefined) {
      const { facts, data } = this.#time;
      data.fill(part);
      const isPlane = data.length > 1;
      feeds[facts.name] = isPlane
        ? picture(data)
        : this.#model.tensor(
            data,
            facts.shape.map(() => 1),
          );
    }
    return feeds;
  }
}

/** Channels 7 to 10: where a pixel lies along each axis from -1 to 1, and how far it is to the next. */
function fillGrids(grids: Float32Array, { width, height }: FrameSize): void {
  const area = width * height;
  const [stepX, stepY] = [2 / (width - 1), 2 / (height - 1)];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      grids[y * width + x] = x * stepX - 1;
      grids[area + y * width + x] = y * stepY - 1;
    }
  }
  grids.fill(stepX, 2 * area, 3 * area);
  grids.fill(stepY, 3 * area);
}

/** Some exports take one size only: smaller pictures are padded to it. */
function paddedSize(size: FrameSize, multiple: number, { shape }: TensorFacts): FrameSize {
  const upTo = (value: number): number =>
    Math.ceil(value / Math.max(1, multiple)) * Math.max(1, multiple);
  const [, , high, wide] = shape;
  const width = typeof wide === 'number' ? wide : upTo(size.width);
  const height = typeof high === 'number' ? high : upTo(size.height);
  if (width >= size.width && height >= size.height) return { width, height };
  const message = `the model takes pictures of ${width}x${height} only, and the film's are ${size.width}x${size.height}: scale the film down, or export the model for any size`;
  throw new WorkFailure('invalid-input', message);
}

function refuseInputs(inputs: readonly TensorFacts[], wanted: number): void {
  if (inputs.length === wanted) return;
  const has = inputs.map(({ name }) => name).join(', ');
  const message = `the model has the inputs ${has}, and its manifest asks for ${wanted}: mend pairLayout, timestep or inputs of the manifest`;
  throw new WorkFailure('invalid-input', message);
}
