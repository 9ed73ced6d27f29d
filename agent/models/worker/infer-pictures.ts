/**
 * The work `infer`: pictures of the model's own size come through the pipe until it ends; what is in them is
 * told, some at a time and in their order. Where memory runs out fewer go through the model at once.
 */
import type { InferWork } from '../model-work.ts';
import { type Channel, channelsOf } from './channels.ts';
import { findingsOf, type OutputView } from './detections.ts';
import { type LoadedModel, refuseOther } from './load-model.ts';
import { memoryFaultOf, MOST_HALVINGS, WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

export async function inferPictures(
  model: LoadedModel,
  work: InferWork,
  context: WorkContext,
): Promise<void> {
  const looker = new PictureLooker(model, work, context);
  const { pipes } = context;
  const batch: Uint8Array[] = [];
  // Used again: a new one for each would cost the system and the collector more than its bytes do.
  const spare: Uint8Array[] = [];
  let done = 0;
  for (let isOver = false; !isOver;) {
    const picture = spare.pop() ?? looker.newPicture();
    isOver = !pipes.read(picture);
    if (!isOver) batch.push(picture);
    if (batch.length < looker.atOnce && !isOver) continue;
    while (batch.length > 0) {
      const some = batch.splice(0, looker.atOnce);
      const found = await looker.lookAt(some);
      done += found.length;
      spare.push(...some.slice(0, found.length));
      context.tell({ event: 'result', value: found });
      context.tell({ event: 'progress', done });
      // What memory was too little for is looked at again.
      batch.unshift(...some.slice(found.length));
    }
  }
}

/** Throws WorkFailure where the model is another than its manifest says. */
export class PictureLooker {
  readonly #model: LoadedModel;
  readonly #work: InferWork;
  readonly #context: WorkContext;
  readonly #channels: readonly Channel[];
  readonly #area: number;
  /** Pictures that a model of a fixed batch takes; undefined for any number. */
  readonly #fixed: number | undefined;
  #input = new Float32Array(0);
  #halvings = 0;
  /** Pictures that go through the model at once. */
  atOnce: number;

  constructor(model: LoadedModel, work: InferWork, context: WorkContext) {
    const { manifest, inputs, channels } = model;
    const { width, height } = manifest;
    if (inputs.length !== 1) {
      const message = `the model has ${inputs.length} inputs; looking takes models of one picture`;
      throw new WorkFailure('invalid-input', message);
    }
    const count = inputs[0]!.shape[0];
    this.#fixed = typeof count === 'number' && count > 0 ? count : undefined;
    refuseOther('input', { ...inputs[0]!, shape: [1, ...inputs[0]!.shape.slice(1)] }, channels);
    refuseSize(inputs[0]!.shape, width, height);
    this.#model = model;
    this.#work = work;
    this.#context = context;
    this.#channels = channelsOf(manifest);
    this.#area = width * height;
    const wanted = Math.max(1, Math.min(work.batch || manifest.maxBatch, manifest.maxBatch));
    this.atOnce = this.#fixed ?? wanted;
  }

  /** Bytes for one picture. */
  newPicture(): Uint8Array {
    return new Uint8Array(this.#area * this.#channels.length);
  }

  /** What is in each of them; in none when memory is too little for so many: then `atOnce` is smaller. */
  async lookAt(pictures: readonly Uint8Array[]): ReturnType<typeof findingsFor> {
    try {
      return await findingsFor(this.#model, await this.run(pictures), pictures.length, this.#work);
    } catch (error) {
      const fault = memoryFaultOf(error, this.#model.provider);
      if (fault === undefined || this.#halvings === MOST_HALVINGS) throw error;
      // One picture may have room in a process that held no more.
      if (this.atOnce === 1 && this.#halvings > 0) throw error;
      if (this.atOnce === 1 || this.#fixed !== undefined) {
        const what = fault === 'out-of-vram' ? "the GPU's memory" : 'the memory';
        const message = `${what} that the unit may take is too little even for one picture at a time`;
        throw new WorkFailure(fault, message);
      }
      this.atOnce = Math.ceil(this.atOnce / 2);
      this.#halvings += 1;
      this.#input = new Float32Array(0);
      this.#context.collect();
      this.#context.tell({ event: 'smaller', roomPixels: this.atOnce * this.#area });
      return [];
    }
  }

  /** What the model makes of them. */
  async run(pictures: readonly Uint8Array[]): Promise<readonly OutputView[]> {
    const { manifest, inputs, outputs } = this.#model;
    const count = this.#fixed ?? pictures.length;
    const each = this.#area * this.#channels.length;
    if (this.#input.length !== count * each) this.#input = new Float32Array(count * each);
    pictures.forEach((picture, index) => {
      fill(picture, this.#channels, this.#input.subarray(index * each, (index + 1) * each));
    });
    const shape = [count, this.#channels.length, manifest.height, manifest.width];
    const made = await this.#model.run({
      [inputs[0]!.name]: this.#model.tensor(this.#input, shape),
    });
    this.#context.notePeak(count * this.#area, count * each);
    return outputs.map(({ name }) => {
      const output = made[name]!;
      this.#context.noteGarbage(output.data.byteLength);
      return { name, ...output };
    });
  }
}

async function findingsFor(
  { manifest }: LoadedModel,
  outputs: readonly OutputView[],
  pictures: number,
  work: InferWork,
): Promise<ReturnType<typeof findingsOf>> {
  return findingsOf(manifest, outputs, pictures, work);
}

/** In frames of gbrp, by a channel's place in rgb24: red is the third plane, green the first. */
const PLANES = [2, 0, 1];

/** A plane of bytes to a plane of floats, for each channel. */
function fill(picture: Uint8Array, channels: readonly Channel[], into: Float32Array): void {
  const area = picture.length / channels.length;
  channels.forEach(({ offset, floats, mean, deviation }, channel) => {
    const plane = channels.length === 1 ? 0 : PLANES[offset]!;
    const from = picture.subarray(plane * area, (plane + 1) * area);
    const to = into.subarray(channel * area, (channel + 1) * area);
    if (mean === 0 && deviation === 1) to.set(from);
    else for (let at = 0; at < area; at += 1) to[at] = floats[from[at]!]!;
  });
}

function refuseSize(shape: readonly (number | string)[], width: number, height: number): void {
  const [, , high, wide] = shape;
  const fits = (side: number | string | undefined, wanted: number): boolean =>
    typeof side !== 'number' || side < 0 || side === wanted;
  if (width > 0 && height > 0 && fits(high, height) && fits(wide, width)) return;
  const message = `the model takes pictures of ${wide}x${high}, and its manifest says ${width}x${height}: mend the manifest`;
  throw new WorkFailure('invalid-input', message);
}
