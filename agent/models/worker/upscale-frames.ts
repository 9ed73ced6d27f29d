/**
 * The work `upscale`: each frame larger by the model's scale, tile by tile where memory asks for it. What is
 * written is bit by bit what one run over the whole frame would have made.
 */
import {
  type FrameLayout,
  type FrameSize,
  type FrameTimes,
  layoutOf,
  type UpscaleWork,
} from '../model-work.ts';
import { smallerRoom, type Tiling, type TileRules, tilingOf } from '../tiles.ts';
import { bicubicPlane } from './bicubic.ts';
import { type Channel, channelsOf } from './channels.ts';
import {
  bytesOf,
  type FrameValues,
  type MadeValues,
  newFrame,
  newMadeFrame,
} from './frame-values.ts';
import { type LoadedModel, refuseOther } from './load-model.ts';
import { nutFrameHeader, nutHeader } from './nut-writer.ts';
import { looksBlank } from './blank-picture.ts';
import { keepPlane, type PlaneView, tileOf } from './planes.ts';
import { memoryFaultOf, MOST_HALVINGS, WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

export async function upscaleFrames(
  model: LoadedModel,
  work: UpscaleWork,
  context: WorkContext,
): Promise<void> {
  const upscaler = new FrameUpscaler(model, work, context);
  const { pipes } = context;
  const frame = newFrame(work.width * work.height * 3, work.bits ?? 8);
  const [bytes, large] = [bytesOf(frame), bytesOf(upscaler.largeFrame)];
  pipes.write(
    nutHeader({
      ...upscaler.largeSize,
      layout: upscaler.layout,
      timeBase: work.times.timeBase,
      frameRate: work.frameRate,
    }),
  );
  const times = ticksOf(work.times);
  for (let done = 0; done < work.frames; done += 1) {
    if (!pipes.read(bytes)) {
      throw new WorkFailure('failed', `only ${done} of ${work.frames} frames came`, 'feed');
    }
    await upscaler.upscale(frame);
    pipes.write(nutFrameHeader(times.next().value, large.length));
    pipes.write(large);
    context.tell({ event: 'progress', done: done + 1 });
  }
  if (work.endTicks === undefined) return;
  pipes.write(nutFrameHeader(work.endTicks, large.length));
  pipes.write(large);
}

class FrameUpscaler {
  readonly #model: LoadedModel;
  readonly #context: WorkContext;
  readonly #size: FrameSize;
  readonly #channels: readonly Channel[];
  readonly #rules: TileRules;
  readonly #scale: number;
  readonly largeSize: FrameSize;
  readonly largeFrame: MadeValues;
  readonly layout: FrameLayout;
  #halvings = 0;
  #tiling: Tiling;
  #input = new Float32Array(0);

  constructor(model: LoadedModel, work: UpscaleWork, context: WorkContext) {
    const { manifest, channels, inputs, outputs } = model;
    if (inputs.length !== 1) {
      const message = `the model has ${inputs.length} inputs; upscaling takes models of one picture`;
      throw new WorkFailure('invalid-input', message);
    }
    refuseOther('input', inputs[0], channels);
    refuseOther('output', outputs[0], channels);
    this.#model = model;
    this.#context = context;
    this.#scale = manifest.scale;
    this.#size = { width: work.width, height: work.height };
    const bits = work.bits ?? 8;
    this.#channels = channelsOf(manifest, bits);
    this.layout = layoutOf(channels, bits);
    this.largeSize = { width: work.width * this.#scale, height: work.height * this.#scale };
    this.largeFrame = newMadeFrame(this.largeSize.width * this.largeSize.height * 3, bits);
    const multiple = Math.max(1, manifest.sizeMultiple);
    this.#rules = { halo: manifest.halo, multiple, fixed: fixedSize(model) };
    this.#tiling = this.#tilingFor(work.roomPixels, 'out-of-memory');
  }

  /** Fills `largeFrame`. With less room at a time where memory runs out. */
  async upscale(frame: FrameValues): Promise<void> {
    for (let isDone = false; !isDone;) {
      try {
        await this.#throughTiles(frame);
        isDone = true;
      } catch (error) {
        const fault = memoryFaultOf(error, this.#model.provider);
        if (fault === undefined || this.#halvings === MOST_HALVINGS) throw error;
        const room = smallerRoom(this.#tiling);
        // What is too small here need not be in a process that held nothing larger.
        if (this.#halvings > 0 && tilingOf(this.#size, this.#rules, room) === undefined)
          throw error;
        this.#tiling = this.#tilingFor(room, fault);
        this.#halvings += 1;
        this.#input = new Float32Array(0);
        this.#context.collect();
        this.#context.tell({ event: 'smaller', roomPixels: room });
      }
    }
    if (this.#channels.length === 1) this.#scaleColour(frame);
    if (looksBlank(frame, this.largeFrame)) {
      const message =
        'the model makes a blank picture of one that is not: its manifest may give the wrong range of values (mean, deviation)';
      throw new WorkFailure('bad-output', message);
    }
  }

  #tilingFor(room: number, fault: 'out-of-memory' | 'out-of-vram'): Tiling {
    const tiling = tilingOf(this.#size, this.#rules, room);
    if (tiling !== undefined) return tiling;
    const { halo } = this.#rules;
    const what = fault === 'out-of-vram' ? "the GPU's memory" : 'the memory';
    const message = `${what} that the unit may take is too little even for the smallest tile of this model (halo ${halo})`;
    throw new WorkFailure(fault, message);
  }

  async #throughTiles(frame: FrameValues): Promise<void> {
    const { tile, rows, columns } = this.#tiling;
    const area = tile.width * tile.height;
    if (this.#input.length !== area * this.#channels.length) {
      this.#input = new Float32Array(area * this.#channels.length);
    }
    const scale = this.#scale;
    for (const row of rows) {
      for (const column of columns) {
        for (const [i, channel] of this.#channels.entries()) {
          const from = this.#view(frame, this.#size, channel);
          const into = this.#input.subarray(i * area, (i + 1) * area);
          tileOf(from, channel.floats, { x: column.at, y: row.at }, tile, into);
        }
        const data = await this.#run(tile);
        for (const [i, channel] of this.#channels.entries()) {
          const from = data.subarray(i * area * scale ** 2, (i + 1) * area * scale ** 2);
          const into = this.#view(this.largeFrame, this.largeSize, channel);
          const isFinite = keepPlane(from, tile.width * scale, into, channel, {
            left: (column.keepFrom - column.at) * scale,
            top: (row.keepFrom - row.at) * scale,
            x: column.keepFrom * scale,
            y: row.keepFrom * scale,
            endX: Math.min(column.keepUntil * scale, this.largeSize.width),
            endY: Math.min(row.keepUntil * scale, this.largeSize.height),
          });
          if (!isFinite) {
            const message =
              'the model makes values that are no numbers (NaN or infinite): it is broken, or was exported with too few bits';
            throw new WorkFailure('bad-output', message);
          }
        }
      }
    }
    this.#context.notePeak(area, frame.byteLength + this.largeFrame.byteLength);
  }

  async #run(tile: FrameSize): Promise<Float32Array> {
    const { inputs, outputs } = this.#model;
    const shape = [1, this.#channels.length, tile.height, tile.width];
    const feeds = { [inputs[0]!.name]: this.#model.tensor(this.#input, shape) };
    const made = (await this.#model.run(feeds))[outputs[0]!.name]!;
    const wanted = [1, this.#channels.length, tile.height * this.#scale, tile.width * this.#scale];
    if (made.dims.join() !== wanted.join()) {
      const message = `the model makes [${made.dims.join(', ')}] of [${shape.join(', ')}], and its manifest says scale ${this.#scale}: mend the manifest`;
      throw new WorkFailure('invalid-input', message);
    }
    this.#context.noteGarbage(made.data.byteLength);
    return made.data;
  }

  #view<Values extends FrameValues | MadeValues>(
    values: Values,
    { width, height }: FrameSize,
    { offset }: Channel,
  ): PlaneView<Values> {
    return { values, offset, step: this.#channels.length === 1 ? 1 : 3, width, height };
  }

  /** The eye sees detail in brightness: colour is scaled as any player would. */
  #scaleColour(frame: FrameValues): void {
    const { width, height } = this.#size;
    const area = width * height;
    const largeArea = area * this.#scale ** 2;
    for (const plane of [1, 2]) {
      const from = frame.subarray(plane * area, (plane + 1) * area);
      const into = this.largeFrame.subarray(plane * largeArea, (plane + 1) * largeArea);
      bicubicPlane(from, this.#size, this.#scale, into);
    }
  }
}

/** Some exports take one size only. */
function fixedSize({ inputs }: LoadedModel): FrameSize | undefined {
  const [, , height, width] = inputs[0]!.shape;
  return typeof height === 'number' && typeof width === 'number' ? { width, height } : undefined;
}

/** From 0 on, in the times' own ticks. */
function* ticksOf({ runs, timeBase }: FrameTimes): Generator<number, number> {
  let ticks = 0;
  yield ticks;
  for (const [step, count] of runs) {
    for (let i = 0; i < count; i += 1) {
      ticks += step;
      yield ticks;
    }
  }
  // More frames than times: the last step goes on.
  for (;;) {
    ticks += Math.max(1, runs.at(-1)?.[0] ?? timeBase.den);
    yield ticks;
  }
}
