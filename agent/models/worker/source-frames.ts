/**
 * The source's frames as they come through the pipe, and what lies between them: which two frames a frame of the film
 * lies between, and whether a new scene begins there. Only as many are held as that takes.
 *
 * With `smooth` a short run of frames that show the same is one frame that lasts as long: what lies between is then
 * made of its first frame and of the first of the next run. A longer one is a still picture, and stays still.
 */
import type { InterpolateWork } from '../model-work.ts';
import {
  type FrameStep,
  type FrameThumb,
  isSceneCut,
  stepBetween,
  thumbOf,
} from './frame-thumb.ts';
import { bytesOf, type FrameValues, newFrame } from './frame-values.ts';
import { areNear } from './near-frames.ts';
import type { FramePlanes } from './pair-feeds.ts';
import { WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

export interface SourceFrame {
  readonly values: FrameValues;
  planes: FramePlanes | undefined;
}

/** Two frames of the source that follow each other, once those that show the same as the first are left out. */
export interface Span {
  readonly first: number;
  readonly next: number;
}

export class SourceFrames {
  readonly #work: InterpolateWork;
  readonly #context: WorkContext;
  readonly #frames = new Map<number, SourceFrame>();
  readonly #thumbs = new Map<number, FrameThumb>();
  /** By the second of two frames. */
  readonly #steps = new Map<number, FrameStep>();
  /** Frames that show the same as the one before them. */
  readonly #near = new Set<number>();
  readonly #spare: FrameValues[] = [];
  #read = 0;

  constructor(work: InterpolateWork, context: WorkContext) {
    this.#work = work;
    this.#context = context;
  }

  at(index: number): SourceFrame {
    while (this.#read <= index) this.#readOne();
    const frame = this.#frames.get(index);
    if (frame === undefined) throw new WorkFailure('failed', `frame ${index} is gone already`);
    return frame;
  }

  /** What a frame of the film that comes after this one lies in. What is before it is let go. */
  spanAt(index: number): Span {
    const back = (this.#work.smooth?.most ?? 0) + 1;
    while (this.#read <= index) {
      this.#letGo({ first: index - back, next: index - back + 1 });
      this.#readOne();
    }
    const first = this.#firstOf(index);
    const next = this.#nextRun(first);
    const isShort = next !== undefined && this.#isShort(first, next);
    const span = isShort ? { first, next } : { first: index, next: index + 1 };
    this.#letGo(span);
    return span;
  }

  /** Whether nothing lies between a frame and the next: they are the same, or a still picture. */
  isStill({ first, next }: Span): boolean {
    const [here, there] = [this.at(first).values, this.at(next).values];
    return this.#near.has(next) || Buffer.compare(bytesOf(here), bytesOf(there)) === 0;
  }

  isCut({ first, next }: Span): boolean {
    const after = this.#work.smooth === undefined ? next + 1 : this.#nextRun(next);
    return isSceneCut(
      this.#stepInto(next)!,
      this.#work.smooth === undefined ? this.#steps.get(first) : this.#stepInto(first),
      after === undefined ? undefined : this.#stepInto(after),
    );
  }

  get heldBytes(): number {
    const { width, height, bits = 8 } = this.#work;
    return ((this.#frames.size + this.#spare.length) * width * height * 3 * bits) / 8;
  }

  /** Whoever feeds us must not find the pipe closed. */
  readToEnd(): void {
    while (this.#read < this.#work.frames) {
      this.#letGo({ first: this.#read, next: this.#read + 1 });
      this.#readOne();
    }
  }

  /** Where the run of frames that show the same begins; no farther back than a short one reaches. */
  #firstOf(index: number): number {
    let first = index;
    const { most = 0 } = this.#work.smooth ?? {};
    while (this.#near.has(first) && index - first < most) first -= 1;
    return first;
  }

  /** The first frame after `first` that shows something else; undefined where a short run would be over, or the film. */
  #nextRun(first: number): number | undefined {
    const { frames, smooth } = this.#work;
    const most = smooth?.most ?? 1;
    for (let next = first + 1; next <= first + most && next < frames; next += 1) {
      while (this.#read <= next) this.#readOne();
      if (!this.#near.has(next)) return next;
    }
    return undefined;
  }

  #isShort(first: number, next: number): boolean {
    const { smooth } = this.#work;
    if (smooth === undefined || next === first + 1) return next === first + 1;
    return smooth.ticks[next]! - smooth.ticks[first]! <= smooth.mostTicks;
  }

  #stepInto(index: number): FrameStep | undefined {
    if (index < 1 || index >= this.#work.frames) return undefined;
    while (this.#read <= index) this.#readOne();
    const known = this.#steps.get(index);
    if (known !== undefined) return known;
    const [before, here] = [this.#thumb(index - 1), this.#thumb(index)];
    if (before === undefined || here === undefined) return undefined;
    const step = stepBetween(before, here);
    this.#steps.set(index, step);
    return step;
  }

  #thumb(index: number): FrameThumb | undefined {
    const frame = this.#frames.get(index);
    const thumb = this.#thumbs.get(index) ?? (frame && thumbOf(frame.values, this.#work));
    if (thumb !== undefined) this.#thumbs.set(index, thumb);
    return thumb;
  }

  #letGo({ first, next }: Span): void {
    for (const [index, { values }] of this.#frames) {
      if (index >= first && (index <= first || index >= next)) continue;
      // How the picture changes into the next run is told by the last frame of this one.
      if (this.#work.smooth !== undefined && index >= first - 1) this.#thumb(index);
      this.#frames.delete(index);
      this.#spare.push(values);
    }
    for (const index of this.#thumbs.keys()) if (index < first - 1) this.#thumbs.delete(index);
    for (const index of this.#steps.keys()) if (index < first) this.#steps.delete(index);
  }

  #readOne(): void {
    const { width, height, frames, bits = 8, smooth } = this.#work;
    const values = this.#spare.pop() ?? newFrame(width * height * 3, bits);
    if (!this.#context.pipes.read(bytesOf(values))) {
      throw new WorkFailure('failed', `only ${this.#read} of ${frames} frames came`, 'feed');
    }
    const before = this.#frames.get(this.#read - 1)?.values;
    if (smooth !== undefined && before !== undefined && areNear(before, values, this.#work)) {
      this.#near.add(this.#read);
    }
    this.#frames.set(this.#read, { values, planes: undefined });
    this.#read += 1;
  }
}
