/**
 * The work `interpolate`: frames of a film at other times than its source's. A frame whose time is one of the
 * source's is that frame, byte for byte; others are made by the model of the two around them, unless those show
 * different scenes, or the same picture; with `smooth` also those of a short run of the same picture but its first, so
 * that animation on twos moves in every frame. A model that is not told the time makes the frame half-way: others come
 * by halving again.
 */
import { TimestepForm } from '../../../proto/gen/furrow/v1/model.ts';
import {
  type FrameBits,
  type InterpolateWork,
  layoutOf,
  type MadeFrames,
  type SmoothedRuns,
} from '../model-work.ts';
import { looksBlank } from './blank-picture.ts';
import { asFrame, bytesOf, type MadeValues, newMadeFrame } from './frame-values.ts';
import type { LoadedModel } from './load-model.ts';
import { nutFrameHeader, nutHeader } from './nut-writer.ts';
import { type FramePlanes, PairFeeds } from './pair-feeds.ts';
import { type SourceFrame, SourceFrames, type Span } from './source-frames.ts';
import { WorkFailure } from './work-failure.ts';
import type { WorkContext } from './works.ts';

export async function interpolateFrames(
  model: LoadedModel,
  work: InterpolateWork,
  context: WorkContext,
): Promise<void> {
  const { pipes } = context;
  const source = new SourceFrames(work, context);
  const maker = new FrameMaker(model, work, context, () => source.heldBytes);
  const { timeBase, ticks } = work.film;
  const layout = layoutOf(3, work.bits ?? 8);
  pipes.write(
    nutHeader({
      width: work.width,
      height: work.height,
      layout,
      timeBase,
      frameRate: work.frameRate,
    }),
  );
  const made = { source: 0, made: 0, held: 0, cuts: 0 };
  const smoothed = new SmoothedSpans(context);
  let cutAt = -1;
  for (const [i, from] of work.film.from.entries()) {
    const part = work.film.part[i]!;
    const span = source.spanAt(from);
    const at = placeIn(span, from, part, work, maker.halves);
    let frame: Uint8Array = bytesOf(source.at(span.first).values);
    if (at === 0) made.source += 1;
    else if (source.isStill(span)) made.held += 1;
    else if (source.isCut(span)) {
      // Where the scene begins, whatever the run before it showed.
      if (from + 1 === span.next && part >= 0.5) frame = bytesOf(source.at(span.next).values);
      made.held += 1;
      if (cutAt !== span.next) made.cuts += 1;
      cutAt = span.next;
    } else {
      smoothed.note(span);
      frame = await maker.between(source.at(span.first), source.at(span.next), at);
      made.made += 1;
    }
    pipes.write(nutFrameHeader(ticks[i]!, frame.length));
    pipes.write(frame);
    context.tell({ event: 'progress', done: i + 1 });
  }
  source.readToEnd();
  smoothed.tell();
  const value: MadeFrames = made;
  context.tell({ event: 'result', value });
}

/** How far on the way through the span: 0 to below 1. */
function placeIn(
  { first, next }: Span,
  from: number,
  part: number,
  { smooth }: InterpolateWork,
  halves: boolean,
): number {
  if (smooth === undefined || next === first + 1) return part;
  const { ticks } = smooth;
  const since = ticks[from]! - ticks[first]! + part * (ticks[from + 1]! - ticks[from]!);
  const place = since / (ticks[next]! - ticks[first]!);
  // By halving alone thirds are never reached: the nearest eighth is near enough for the eye.
  return halves ? Math.min(7 / 8, Math.round(place * 8) / 8) : place;
}

/** Told some at a time: a film may have many, and what is told is a line. */
class SmoothedSpans {
  readonly #context: WorkContext;
  #spans: (readonly [number, number])[] = [];
  #last = -1;

  constructor(context: WorkContext) {
    this.#context = context;
  }

  note({ first, next }: Span): void {
    if (next === first + 1 || first === this.#last) return;
    this.#last = first;
    this.#spans.push([first, next]);
    if (this.#spans.length >= SPANS_AT_ONCE) this.tell();
  }

  tell(): void {
    if (this.#spans.length === 0) return;
    const value: SmoothedRuns = { smoothed: this.#spans };
    this.#context.tell({ event: 'result', value });
    this.#spans = [];
  }
}

const SPANS_AT_ONCE = 256;

class FrameMaker {
  readonly #feeds: PairFeeds;
  readonly #context: WorkContext;
  readonly #bits: FrameBits;
  readonly #frameValues: number;
  readonly #heldBytes: () => number;
  /** It makes the frame half-way alone. */
  readonly halves: boolean;
  /** Of the pair at hand by their time, where the model halves. */
  #made = new Map<number, { readonly values: MadeValues; readonly planes: FramePlanes }>();
  #pair: SourceFrame | undefined;

  constructor(
    model: LoadedModel,
    work: InterpolateWork,
    context: WorkContext,
    heldBytes: () => number,
  ) {
    this.#heldBytes = heldBytes;
    this.#bits = work.bits ?? 8;
    this.#feeds = new PairFeeds(model, work, this.#bits);
    this.#context = context;
    this.#frameValues = work.width * work.height * 3;
    this.halves = model.manifest.timestep === TimestepForm.TIMESTEP_FORM_NONE;
  }

  async between(a: SourceFrame, b: SourceFrame, part: number): Promise<Uint8Array> {
    if (this.#pair !== a) this.#made.clear();
    this.#pair = a;
    a.planes ??= this.#feeds.planesOf(a.values);
    b.planes ??= this.#feeds.planesOf(b.values);
    const frame = this.halves
      ? await this.#byHalves(a.planes, b.planes, part)
      : await this.#run(a.planes, b.planes, part);
    if (looksBlank(a.values, frame) && looksBlank(b.values, frame)) {
      const message =
        'the model makes a blank picture of two that are not: its manifest may give the wrong range of values (mean, deviation)';
      throw new WorkFailure('bad-output', message);
    }
    return bytesOf(frame);
  }

  async #run(a: FramePlanes, b: FramePlanes, part: number): Promise<MadeValues> {
    const frame = newMadeFrame(this.#frameValues, this.#bits);
    const garbage = await this.#feeds.between(a, b, part, frame);
    this.#context.notePeak(this.#feeds.pixels, this.#heldBytes() + frame.byteLength);
    this.#context.noteGarbage(garbage + frame.byteLength);
    return frame;
  }

  /** `part` is a whole number of parts of a power of two. */
  async #byHalves(a: FramePlanes, b: FramePlanes, part: number): Promise<MadeValues> {
    let [from, to] = [0, 1];
    let [left, right] = [a, b];
    for (;;) {
      const middle = (from + to) / 2;
      const known = this.#made.get(middle);
      const half = known ?? (await this.#half(left, right, middle));
      if (part === middle || to - from < LEAST_PART) return half.values;
      if (part < middle) [to, right] = [middle, half.planes];
      else [from, left] = [middle, half.planes];
    }
  }

  async #half(a: FramePlanes, b: FramePlanes, at: number) {
    const values = await this.#run(a, b, 0.5);
    const made = { values, planes: this.#feeds.planesOf(asFrame(values)) };
    this.#made.set(at, made);
    return made;
  }
}

/** Finer than any factor that is allowed. */
const LEAST_PART = 1 / 256;
