/**
 * The work `interpolate`: frames of a film at other times than its source's. A frame whose time is one of the
 * source's is that frame, byte for byte; others are made by the model of the two around them, unless those show
 * different scenes, or the same picture. A model that is not told the time makes the frame half-way: others come
 * by halving again.
 */
import { TimestepForm } from '../../../proto/gen/furrow/v1/model.ts';
import type { InterpolateWork, MadeFrames } from '../model-work.ts';
import { looksBlank } from './blank-picture.ts';
import {
  type FrameStep,
  isSceneCut,
  stepBetween,
  thumbOf,
  type FrameThumb,
} from './frame-thumb.ts';
import type { LoadedModel } from './load-model.ts';
import { nutFrameHeader, nutHeader } from './nut-writer.ts';
import { type FramePlanes, PairFeeds } from './pair-feeds.ts';
import { WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

export async function interpolateFrames(
  model: LoadedModel,
  work: InterpolateWork,
  context: WorkContext,
): Promise<void> {
  const { pipes } = context;
  const source = new SourceFrames(work, context);
  const maker = new FrameMaker(model, work, context);
  const { timeBase, ticks } = work.film;
  pipes.write(nutHeader({ width: work.width, height: work.height, layout: 'rgb24', timeBase }));
  const made = { source: 0, made: 0, held: 0, cuts: 0 };
  let cutAt = -1;
  for (const [i, from] of work.film.from.entries()) {
    const part = work.film.part[i]!;
    let frame: Uint8Array = source.at(from).bytes;
    if (part === 0) made.source += 1;
    else if (source.isSame(from)) made.held += 1;
    else if (source.isCut(from)) {
      if (part >= 0.5) frame = source.at(from + 1).bytes;
      made.held += 1;
      if (cutAt !== from) made.cuts += 1;
      cutAt = from;
    } else {
      frame = await maker.between(source.at(from), source.at(from + 1), part);
      made.made += 1;
    }
    pipes.write(nutFrameHeader(ticks[i]!, frame.length));
    pipes.write(frame);
    context.tell({ event: 'progress', done: i + 1 });
  }
  source.readToEnd();
  const value: MadeFrames = made;
  context.tell({ event: 'result', value });
}

interface SourceFrame {
  readonly bytes: Uint8Array;
  thumb: FrameThumb | undefined;
  planes: FramePlanes | undefined;
}

/** The source's frames in order; of those that were read, the latest few are there. */
class SourceFrames {
  readonly #work: InterpolateWork;
  readonly #context: WorkContext;
  readonly #frames = new Map<number, SourceFrame>();
  #read = 0;
  /** By its first frame. */
  #steps = new Map<number, FrameStep>();

  constructor(work: InterpolateWork, context: WorkContext) {
    this.#work = work;
    this.#context = context;
  }

  /** Frames before it are not needed any more. */
  at(index: number): SourceFrame {
    while (this.#read <= index) this.#readOne();
    const frame = this.#frames.get(index);
    if (frame === undefined) throw new WorkFailure('failed', `frame ${index} is gone already`);
    return frame;
  }

  /** Whether a frame and the next are the same, byte for byte. */
  isSame(index: number): boolean {
    return Buffer.compare(this.at(index).bytes, this.at(index + 1).bytes) === 0;
  }

  isCut(index: number): boolean {
    return isSceneCut(this.#step(index)!, this.#steps.get(index - 1), this.#step(index + 1));
  }

  /** Whoever feeds us must not find the pipe closed. */
  readToEnd(): void {
    while (this.#read < this.#work.frames) this.#readOne();
  }

  #step(index: number): FrameStep | undefined {
    if (index + 1 >= this.#work.frames) return undefined;
    const known = this.#steps.get(index);
    if (known !== undefined) return known;
    const step = stepBetween(this.#thumb(index), this.#thumb(index + 1));
    this.#steps.set(index, step);
    return step;
  }

  #thumb(index: number): FrameThumb {
    const frame = this.at(index);
    frame.thumb ??= thumbOf(frame.bytes, this.#work);
    return frame.thumb;
  }

  #readOne(): void {
    const { width, height, frames } = this.#work;
    const old = this.#read - KEPT_FRAMES;
    const bytes = this.#frames.get(old)?.bytes ?? new Uint8Array(width * height * 3);
    this.#frames.delete(old);
    this.#steps.delete(old - 1);
    if (!this.#context.pipes.read(bytes)) {
      throw new WorkFailure('failed', `only ${this.#read} of ${frames} frames came`, 'feed');
    }
    this.#frames.set(this.#read, { bytes, thumb: undefined, planes: undefined });
    this.#read += 1;
  }
}

/** The pair, and the one after it, which tells whether a step stands out. */
const KEPT_FRAMES = 3;

class FrameMaker {
  readonly #feeds: PairFeeds;
  readonly #context: WorkContext;
  readonly #frameBytes: number;
  readonly #halves: boolean;
  /** Of the pair at hand by their time, where the model halves. */
  #made = new Map<number, { readonly bytes: Uint8ClampedArray; readonly planes: FramePlanes }>();
  #pair: SourceFrame | undefined;

  constructor(model: LoadedModel, work: InterpolateWork, context: WorkContext) {
    this.#feeds = new PairFeeds(model, work);
    this.#context = context;
    this.#frameBytes = work.width * work.height * 3;
    this.#halves = model.manifest.timestep === TimestepForm.TIMESTEP_FORM_NONE;
  }

  async between(a: SourceFrame, b: SourceFrame, part: number): Promise<Uint8Array> {
    if (this.#pair !== a) this.#made.clear();
    this.#pair = a;
    a.planes ??= this.#feeds.planesOf(a.bytes);
    b.planes ??= this.#feeds.planesOf(b.bytes);
    const frame = this.#halves
      ? await this.#byHalves(a.planes, b.planes, part)
      : await this.#run(a.planes, b.planes, part);
    if (looksBlank(a.bytes, frame) && looksBlank(b.bytes, frame)) {
      const message =
        'the model makes a blank picture of two that are not: its manifest may give the wrong range of values (mean, deviation)';
      throw new WorkFailure('bad-output', message);
    }
    return new Uint8Array(frame.buffer, frame.byteOffset, frame.length);
  }

  async #run(a: FramePlanes, b: FramePlanes, part: number): Promise<Uint8ClampedArray> {
    const frame = new Uint8ClampedArray(this.#frameBytes);
    const garbage = await this.#feeds.between(a, b, part, frame);
    this.#context.notePeak(this.#feeds.pixels, (KEPT_FRAMES + 1) * this.#frameBytes);
    this.#context.noteGarbage(garbage + this.#frameBytes);
    return frame;
  }

  /** `part` is a whole number of parts of a power of two. */
  async #byHalves(a: FramePlanes, b: FramePlanes, part: number): Promise<Uint8ClampedArray> {
    let [from, to] = [0, 1];
    let [left, right] = [a, b];
    for (;;) {
      const middle = (from + to) / 2;
      const known = this.#made.get(middle);
      const half = known ?? (await this.#half(left, right, middle));
      if (part === middle || to - from < LEAST_PART) return half.bytes;
      if (part < middle) [to, right] = [middle, half.planes];
      else [from, left] = [middle, half.planes];
    }
  }

  async #half(a: FramePlanes, b: FramePlanes, at: number) {
    const bytes = await this.#run(a, b, 0.5);
    const made = { bytes, planes: this.#feeds.planesOf(new Uint8Array(bytes.buffer)) };
    this.#made.set(at, made);
    return made;
  }
}

/** Finer than any factor that is allowed. */
const LEAST_PART = 1 / 256;
